-- Ends a session. Needs no memory, so that a full Redis still lets users sign out.
--
-- KEYS: the user's hash, the record, then the records that its token was rotated into, in order
-- ARGV: the sessions' names, in the same order
-- Answers { 1, fault }: ended;
--         { 0, fault }: it had ended before;
--         { 2, successor }: nothing written, the last one was rotated away too: come again with what the successor names.
local user, last = KEYS[1], KEYS[#KEYS]

local stored = redis.call('GET', last)
if is_successor(stored) then
  return { 2, stored }
end
-- A write of somebody else's in the index's place must not keep a session from ending; whoever looks after Redis is told.
local indexed, fault = pcall(function()
  for i = 1, #ARGV do
    redis.call('HDEL', user, ARGV[i])
  end
  sweep_index(user, store_time())
end)
for i = 2, #KEYS do
  redis.call('DEL', KEYS[i])
end
if indexed then
  fault = ''
elseif type(fault) == 'table' then
  fault = fault.err
end
return { stored and 1 or 0, fault }
