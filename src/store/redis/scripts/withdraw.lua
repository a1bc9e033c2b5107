-- Takes back the answer of a login whose session could not be made, so that nobody is given a token that opens nothing.
--
-- KEYS: the reservation
-- ARGV: the sealed answer
-- Answers 1: taken back; 0: it was not there.
if redis.call('GET', KEYS[1]) == 'S' .. ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
