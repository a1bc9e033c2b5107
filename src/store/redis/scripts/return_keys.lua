-- Puts back the session_keys that were taken away for a reset: the platform has not reset them.
--
-- KEYS: the user's hash
-- ARGV: when they were taken, when the reset before that was or '', and the generations, newest first
local user, at, before = KEYS[1], ARGV[1], ARGV[2]
if redis.call('HGET', user, 'kr') ~= at then
  return false
end
-- First what needs no memory, or a full Redis refuses the keys that it had a moment ago.
redis.call('HDEL', user, before == '' and 'kr' or '')
if before ~= '' then
  redis.call('HSET', user, 'kr', before)
end
for place = 3, #ARGV do
  keep_generation(user, ARGV[place])
end
return false
