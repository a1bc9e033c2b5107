-- Ends a session. Needs no memory, so that a full Redis still lets users sign out.
--
-- KEYS: the user's hash, the record
-- ARGV: the session's name
-- Answers 1: ended; 0: it had ended before.
local user, record, id = KEYS[1], KEYS[2], ARGV[1]

local ended = redis.call('DEL', record)
redis.call('HDEL', user, id)
sweep_index(user, store_time())
return ended
