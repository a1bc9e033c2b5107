-- Stores the tokens that the holder of the lease has fetched with a refresh token. The new refresh token is stored even
-- if the lease has lapsed, since the platform may take no other one any more.
--
-- KEYS: the token, its lease, the component's authorizers
-- ARGV: the holder's ticket, the sealed token, when it ends and how long it rests, both in milliseconds, the
-- authorizer, the sealed refresh token, the mark of the refresh token that was used
-- Answers 2: both are stored; 1: the lease had lapsed, and only the refresh token is; 0: the authorizer has withdrawn or
-- authorised anew meanwhile, and nothing is.
local kept = redis.call('HGET', KEYS[3], ARGV[5])
if kept == ARGV[6] then
  -- As this very call would have left it: the call was repeated because its answer was lost.
  return redis.call('GET', KEYS[1]) == ARGV[2] and 2 or 1
end
if mark_of(kept) ~= ARGV[7] then
  return 0
end
-- First what needs no memory, or a full Redis refuses a token that nobody can get again.
redis.call('HDEL', KEYS[3], '')
redis.call('HSET', KEYS[3], ARGV[5], ARGV[6])
if redis.call('GET', KEYS[2]) ~= 'P' .. ARGV[1] then
  return 1
end
redis.call('SET', KEYS[1], ARGV[2], 'PXAT', ARGV[3])
redis.call('SET', KEYS[2], 'R' .. ARGV[1], 'PX', ARGV[4])
return 2
