-- Moves a session's expiry to now + idle timeout, at most to the absolute deadline.
--
-- KEYS: the user's hash, the record
-- ARGV: the session's name, absolute deadline, idle timeout
-- Answers 1: moved; 0: there is no such session, and it has not come back by this; 2: nothing written, its token was rotated
-- away, and what is left of its time is not to grow.
local user, record, id = KEYS[1], KEYS[2], ARGV[1]

local now = store_time()
local expiry = math.min(now + tonumber(ARGV[3]), tonumber(ARGV[2]))
local stored = redis.call('GET', record)
if is_successor(stored) then
  return 2
end
local alive = stored and expiry > now
-- Read before anything is written: if the index is none, nothing happens.
local entry = redis.call('HGET', user, id)
if alive then
  -- Before the HSET: a full Redis refuses a script whose first write needs memory, and a session that is in use must not
  -- end because of that.
  redis.call('PEXPIREAT', record, digits(expiry))
  -- A session that is missing in the index (lost with a failover) is entered again: without it "sign out everywhere"
  -- would not find it.
  local created = string.match(entry or '', ':(%d+)$') or digits(now)
  redis.call('HSET', user, id, digits(expiry) .. ':' .. created)
else
  redis.call('DEL', record)
  redis.call('HDEL', user, id)
end
sweep_index(user, now)
return alive and 1 or 0
