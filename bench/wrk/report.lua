-- The figures of a run as one line of JSON; every other script of this folder includes it.
function done(summary, latency, requests)
    local e = summary.errors
    io.write(string.format(
        'RESULT {"requests":%d,"microseconds":%d,"p50":%d,"p99":%d,"status":%d,"broken":%d,"timeout":%d}\n',
        summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
        e.status, e.connect + e.read + e.write, e.timeout))
end

local ffi = require("ffi")
ffi.cdef("int getpid(void); int kill(int process, int signal);")

-- Ends the run before its time, as Ctrl-C does: stopping the thread alone would leave wrk asleep until then.
function finish() ffi.C.kill(ffi.C.getpid(), 2) end
