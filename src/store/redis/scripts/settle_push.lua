-- Notes that the backend has a message.
--
-- KEYS: the message, the app's messages by the time when they are due
-- ARGV: the sealed answer, for how many milliseconds it is kept, the message's name in the list
-- Answers 1.
local held = redis.call('GET', KEYS[1])
if not held or string.sub(held, 1, 1) ~= 'S' then
  -- First what needs no memory, or a full Redis refuses it: it gets room for the answer.
  redis.call('DEL', KEYS[1])
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
redis.call('ZREM', KEYS[2], ARGV[3])
return 1
