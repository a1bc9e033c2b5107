-- Takes back the answer of a login whose session could not be made, so that nobody is given a token that opens nothing.
--
-- KEYS: the reservation
-- ARGV: the sealed answer; the ticket that settled it and how long in milliseconds the reservation is to stand again, or
--       nothing: it goes
-- Answers 1: taken back; 0: it was not there.
if redis.call('GET', KEYS[1]) ~= 'S' .. ARGV[1] then
  return 0
end
if ARGV[2] then
  redis.call('SET', KEYS[1], 'P' .. ARGV[2], 'PX', ARGV[3])
else
  redis.call('DEL', KEYS[1])
end
return 1
