-- Stores an authorizer's refresh token in the place of any other, or only of the one that was read. It has no expiry:
-- nobody could get another one.
--
-- KEYS: the component's authorizers, the authorizer's token, its last withdrawal
-- ARGV: the authorizer, its sealed refresh token, its sealed token (empty: none), how long that is good, in milliseconds;
-- and perhaps the value that has to stand there (empty: none) and the withdrawal that was read with it (empty: none)
-- Answers 1: stored; 0: the value that was read stands no more, or the authorizer has withdrawn since, and nothing was
-- written.
local read = ARGV[5]
if read then
  local kept = redis.call('HGET', KEYS[1], ARGV[1]) or ''
  -- As this very call would have left it: the call was repeated because its answer was lost.
  if kept == ARGV[2] then
    return 1
  end
  if kept ~= read then
    return 0
  end
  -- Where nothing stood, nothing is missing after a withdrawal either.
  local withdrawal = read == '' and redis.call('GET', KEYS[3])
  if withdrawal and withdrawal ~= ARGV[6] then
    return 0
  end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
if ARGV[3] ~= '' then
  redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[4])
end
return 1
