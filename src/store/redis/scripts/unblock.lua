-- Puts another state of a user into the place of the one that was read.
--
-- KEYS: the user's state
-- ARGV: the state as it was read, the new one ('': none), when it ends
-- Answers { 1, '' }; { 0, state }: nothing written, the state is another one.
local state = KEYS[1]
local held = redis.call('GET', state) or ''
if held ~= ARGV[1] and held ~= ARGV[2] then
  return { 0, held }
end
-- The first write of a script must need no memory, or a full Redis refuses it.
redis.call('DEL', state)
if ARGV[2] ~= '' then
  redis.call('SET', state, ARGV[2], 'PXAT', ARGV[3])
end
return { 1, '' }
