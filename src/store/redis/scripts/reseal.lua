-- Puts a refresh token that was sealed anew in its place, unless another one is there meanwhile.
--
-- KEYS: the component's authorizers
-- ARGV: the authorizer, the value as it was read, the new value
if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
  return 1
end
return 0
