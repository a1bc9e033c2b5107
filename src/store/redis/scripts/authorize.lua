-- Stores an authorizer's refresh token in the place of any other. It has no expiry: nobody could get another one.
--
-- KEYS: the component's authorizers, the authorizer's token
-- ARGV: the authorizer, its sealed refresh token, its sealed token (empty: none), how long that is good, in milliseconds
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
if ARGV[3] ~= '' then
  redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[4])
end
return 1
