-- Keeps a pushed message until the backend takes it. One that is kept or delivered already stays as it is.
--
-- KEYS: the message, the app's messages by the time when they are due
-- ARGV: the sealed message, in how many milliseconds it is due, for how many it is kept, its name in the list
-- Answers 1.
local held = redis.call('GET', KEYS[1])
if held and string.sub(held, 1, 1) ~= 'P' then
  return 1
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
redis.call('ZADD', KEYS[2], string.format('%.0f', now + ARGV[2]), ARGV[4])
redis.call('PEXPIREAT', KEYS[2], string.format('%.0f', now + ARGV[3]))
return 1
