-- Puts another answer in the place of one that is kept, for as long as that one lives.
--
-- KEYS: the reservation
-- ARGV: the sealed answer; the one that comes in its place
-- Answers 1: replaced; 0: it was not there any more.
local held = redis.call('GET', KEYS[1])
local answer = 'S' .. ARGV[2]
local left = redis.call('PTTL', KEYS[1])
if held == 'S' .. ARGV[1] and left > 0 then
  -- First what needs no memory, or a full Redis refuses it.
  redis.call('DEL', KEYS[1])
  redis.call('SET', KEYS[1], answer, 'PX', left)
  return 1
end
-- Found as this very call would have left it: the call was repeated because its answer was lost.
return held == answer and 1 or 0
