-- Stores the token that the holder of the lease has fetched.
--
-- KEYS: the token, its lease
-- ARGV: the holder's ticket, the sealed token, when it ends and how long it rests, both in milliseconds
-- Answers 1: stored; 0: the lease had lapsed, and perhaps somebody else has fetched one.
if redis.call('GET', KEYS[2]) == 'P' .. ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[2], 'PXAT', ARGV[3])
  redis.call('SET', KEYS[2], 'R' .. ARGV[1], 'PX', ARGV[4])
  return 1
end
-- Found as this very call would have left it: the call was repeated because its answer was lost.
return redis.call('GET', KEYS[1]) == ARGV[2] and 1 or 0
