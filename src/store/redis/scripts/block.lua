-- Ends all sessions of a user and keeps the user's new state, which lets none come.
--
-- KEYS: the user's hash, the user's state, then the records of the sessions that the caller knows of
-- ARGV: the state as it was read ('': none), the new state, when it ends, then the names of the sessions, in the same order
-- Answers { 1, how many ended, {}, '' };
--         { 0, 0, names of the user's sessions, state }: nothing written, there are others, or the state is another one: come
--         again with these.
local user, state = KEYS[1], KEYS[2]
local held = redis.call('GET', state) or ''
-- A state is sealed for one call: finding it means that the call was repeated because its answer was lost.
if held == ARGV[2] then
  return { 1, 0, {}, '' }
end

local names = {}
for i = 4, #ARGV do
  names[#names + 1] = ARGV[i]
end
local ended, members = nil, names
if held == ARGV[1] then
  ended, members = end_all(user, names, 2)
end
if not ended then
  return { 0, 0, members, held }
end
-- It comes last, after what needs no memory: a full Redis refuses the first write of a script only.
redis.call('SET', state, ARGV[2], 'PXAT', ARGV[3])
return { 1, ended, {}, '' }
