-- Ends all sessions of a user. Needs no memory.
--
-- KEYS: the user's hash, then the records of the sessions that the caller knows of
-- ARGV: their names, in the same order
-- Answers { 1, how many ended, {} };
--         { 0, 0, names of the user's sessions }: nothing written, there are others: come again with these.
--
-- A token that was rotated away needs no mention: its successor leads to a session that has ended.
local user = KEYS[1]

local known = {}
for i = 1, #ARGV do
  known[ARGV[i]] = true
end
local members, listed, all_known = {}, {}, true
for i, session in ipairs((read_index(user, store_time()))) do
  members[i] = session.id
  listed[session.id] = true
  all_known = all_known and known[session.id]
end
if not all_known then
  return { 0, 0, members }
end

local ended = 0
for i = 1, #ARGV do
  -- One that has gone from the index meanwhile was ended, or rotated away, by somebody else.
  if listed[ARGV[i]] then
    ended = ended + redis.call('DEL', KEYS[i + 1])
  end
end
redis.call('DEL', user)
return { 1, ended, {} }
