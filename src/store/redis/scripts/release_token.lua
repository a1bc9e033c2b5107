-- Gives a lease up, if its holder still has it.
--
-- KEYS: the lease
-- ARGV: the holder's ticket
-- Answers 1: given up; 0: it had lapsed.
if redis.call('GET', KEYS[1]) == 'P' .. ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
