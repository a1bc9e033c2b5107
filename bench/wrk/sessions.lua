-- Every request another session's.
-- Arguments: a file with one token a line; how many of them; "in-turn", "at-random" or "once".
dofile("report.lua")

local LINE = 57 -- a token's 56 characters and the line's end
local text, count, order, head, tail
local sent, answered = 0, 0

function init(args)
    local file = assert(io.open(args[1], "rb"))
    text = file:read("*a")
    file:close()
    count, order = tonumber(args[2]), args[3]
    assert(#text >= count * LINE, "fewer tokens than asked for")
    local sample = wrk.format("GET", nil, { ["Host"] = wrk.headers["Host"], ["Authorization"] = "Bearer @" })
    head, tail = sample:match("^(.*)@(.*)$")
    if order == "once" then
        response = function()
            answered = answered + 1
            if answered == count then finish() end
        end
    end
end

function request()
    local place = order == "at-random" and math.random(0, count - 1) or sent % count
    sent = sent + 1
    local from = place * LINE + 1
    return head .. text:sub(from, from + LINE - 2) .. tail
end
