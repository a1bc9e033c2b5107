-- Takes one from a limit's cell.
--
-- KEYS: the cell
-- ARGV: what one costs and what may be owed at once, both in microseconds
-- Answers { 1: taken, 0: refused; what is owed now, in microseconds }
local admitted, owed, keep = take_one(KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]))
if admitted then
  keep()
end
return { admitted and 1 or 0, owed }
