-- Takes messages that are due: nobody else gets them within the lease.
--
-- KEYS: the app's messages by the time when they are due
-- ARGV: the lease in milliseconds, how many at most
-- Answers { seconds, microseconds, how many there are in all, names }.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now), 'LIMIT', 0, ARGV[2])
-- The first write of a script must need no memory, or a full Redis refuses it: the messages would stay, and it full.
if #due > 0 then
  redis.call('ZREM', KEYS[1], '')
end
for _, name in ipairs(due) do
  redis.call('ZADD', KEYS[1], string.format('%.0f', now + ARGV[1]), name)
end
return { time[1], time[2], redis.call('ZCARD', KEYS[1]), due }
