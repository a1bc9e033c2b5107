-- Takes a message that is not kept off the list of those that are due. One that is kept stays on it.
--
-- KEYS: the message, the app's messages by the time when they are due
-- ARGV: its name in the list
-- Answers 1.
local held = redis.call('GET', KEYS[1])
if not held or string.sub(held, 1, 1) ~= 'K' then
  redis.call('ZREM', KEYS[2], ARGV[1])
end
return 1
