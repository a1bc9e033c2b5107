-- Takes a user's session_keys away before the platform resets the newest of them. The gateway has read them before: so its
-- call may be repeated, and what was taken is not kept anywhere.
--
-- KEYS: the user's hash
-- ARGV: a fresh ticket, and k0, k1 and kr as they were read (empty: not there)
-- Answers when they were taken, by the store's time; nil: others are there now, and nothing was written.
local user, ticket = KEYS[1], ARGV[1]
local taking = redis.call('HGET', user, 'kt')
-- A ticket is drawn for one call: finding it means that the call was repeated because its answer was lost.
if taking and string.sub(taking, 1, #ticket) == ticket then
  return tonumber(string.sub(taking, #ticket + 1))
end
local stored = redis.call('HMGET', user, 'k0', 'k1', 'kr')
for place = 1, 3 do
  if (stored[place] or '') ~= ARGV[place + 1] then
    return false
  end
end
local now = store_time()
if stored[1] or stored[2] then
  redis.call('HDEL', user, 'k0', 'k1')
  redis.call('HSET', user, 'kr', digits(now), 'kt', ticket .. digits(now))
end
return now
