-- Every request a login with a code that was never seen.
-- Arguments, if the sessions are to be kept: a file that gets one token a line; how many of them.
dofile("report.lua")

local head, tail, prefix
local sent, kept = 0, 0

function init(args)
    local random = assert(io.open("/dev/urandom", "rb"))
    prefix = random:read(8):gsub(".", function(byte) return string.format("%02x", byte:byte()) end)
    random:close()
    local blank = string.rep("@", 26)
    local headers = { ["Host"] = wrk.headers["Host"], ["Content-Type"] = "application/json" }
    local sample = wrk.format("POST", nil, headers, '{"code":"' .. blank .. '"}')
    head, tail = sample:match("^(.*)" .. blank .. "(.*)$")
    if args[1] then keep(args[1], tonumber(args[2])) end
end

function request()
    sent = sent + 1
    return head .. prefix .. string.format("%010d", sent) .. tail
end

function keep(path, count)
    local file = assert(io.open(path, "ab"))
    response = function(status, headers, body)
        local token = status == 200 and body:match('"token":"(hufu_[%w_-]+)"')
        if not token or kept == count then return end
        file:write(token, "\n")
        kept = kept + 1
        if kept == count then
            file:close()
            finish()
        end
    end
end
