-- Ends a session. Needs no memory, so that a full Redis still lets users sign out.
--
-- KEYS: the user's hash, the record, then the records that its token was rotated into, in order
-- ARGV: the sessions' names, in the same order
-- Answers { 1, '' }: ended;
--         { 0, '' }: it had ended before;
--         { 2, forward }: nothing written, the last one was rotated away too: come again with what the forward names.
local user, last = KEYS[1], KEYS[#KEYS]

local stored = redis.call('GET', last)
if is_forward(stored) then
  return { 2, stored }
end
for i = 2, #KEYS do
  redis.call('DEL', KEYS[i])
  redis.call('HDEL', user, ARGV[i - 1])
end
sweep_index(user, store_time())
return { stored and 1 or 0, '' }
