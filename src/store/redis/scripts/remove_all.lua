-- Ends all sessions of a user. Needs no memory.
--
-- KEYS: the user's hash, then the records of the sessions that the caller knows of
-- ARGV: their names, in the same order
-- Answers { 1, how many ended, {} };
--         { 0, 0, names of the user's sessions }: nothing written, there are others: come again with these.
local ended, members = end_all(KEYS[1], ARGV, 1)
if not ended then
  return { 0, 0, members }
end
return { 1, ended, {} }
