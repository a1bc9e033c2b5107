-- Puts the session_key of a reset into the place of all older ones.
--
-- KEYS: the user's hash
-- ARGV: the generation, whose reservation is the store's time after the platform has reset the key
-- Answers 1: it stands; 0: the user has no session any more, and nothing was written.
local user, fresh = KEYS[1], ARGV[1]
local at = reserved_at(fresh)

sweep_index(user, store_time())
if redis.call('EXISTS', user) == 0 then
  return 0
end
local last = redis.call('HGET', user, 'kr')
if not last or tonumber(last) < at then
  redis.call('HSET', user, 'kr', digits(at))
end
-- What a login has brought since is newer than the reset.
local since = {}
for _, old in ipairs(redis.call('HMGET', user, 'k0', 'k1')) do
  if old and #old >= 15 and reserved_at(old) >= at then since[#since + 1] = old end
end
redis.call('HDEL', user, 'k0', 'k1')
for place, newer in ipairs(since) do
  redis.call('HSET', user, 'k' .. (place - 1), newer)
end
keep_generation(user, fresh)
return 1
