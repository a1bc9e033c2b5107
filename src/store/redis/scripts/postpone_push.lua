-- Says when a kept message is due again, or drops it.
--
-- KEYS: the message, the app's messages by the time when they are due
-- ARGV: its name in the list, in how many milliseconds it is due (empty: it is dropped)
-- Answers 1.
local held = redis.call('GET', KEYS[1])
local is_kept = held and string.sub(held, 1, 1) == 'K'
if is_kept and ARGV[2] ~= '' then
  local time = redis.call('TIME')
  local due = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[2]
  -- The first write of a script must need no memory, or a full Redis refuses it.
  redis.call('ZREM', KEYS[2], '')
  redis.call('ZADD', KEYS[2], string.format('%.0f', due), ARGV[1])
  return 1
end
if is_kept then
  redis.call('DEL', KEYS[1])
end
redis.call('ZREM', KEYS[2], ARGV[1])
return 1
