-- Takes a user's session_keys away before the platform resets the newest of them.
--
-- KEYS: the user's hash
-- Answers the store's time, the time of the reset before this one or nil, and the generations that were there.
local user = KEYS[1]
local now = store_time()
local stored = redis.call('HMGET', user, 'k0', 'k1', 'kr')
local taken = {}
for place = 1, 2 do
  if stored[place] then taken[#taken + 1] = stored[place] end
end
if #taken > 0 then
  redis.call('HDEL', user, 'k0', 'k1')
  redis.call('HSET', user, 'kr', digits(now))
end
return { now, stored[3] or false, taken }
