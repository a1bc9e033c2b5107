-- Ends a reservation, if its holder still has it.
--
-- KEYS: the reservation
-- ARGV: the holder's ticket, the sealed answer, how long the answer is kept in milliseconds (0: not at all)
-- Answers 1: settled; 0: it had lapsed, and perhaps somebody else holds it now.
local held = redis.call('GET', KEYS[1])
local answer = 'S' .. ARGV[2]
if held == 'P' .. ARGV[1] then
  -- First what needs no memory, or a full Redis refuses what the platform has just answered.
  redis.call('DEL', KEYS[1])
  if ARGV[3] ~= '0' then
    redis.call('SET', KEYS[1], answer, 'PX', ARGV[3])
  end
  return 1
end
-- Found as this very call would have left it: the call was repeated because its answer was lost.
return held == answer and 1 or 0
