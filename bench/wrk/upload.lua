-- Every request a POST with a body. Arguments: its size in bytes; a token.
dofile("report.lua")

function init(args)
    wrk.method = "POST"
    wrk.body = string.rep("x", tonumber(args[1]))
    wrk.headers["Content-Type"] = "application/octet-stream"
    wrk.headers["Authorization"] = "Bearer " .. args[2]
end
