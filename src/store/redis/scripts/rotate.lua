-- Moves a session to another token. The old one opens it for a moment longer, by a successor in the place of its record.
--
-- KEYS: the user's hash, the old record, the new record
-- ARGV: the old name, the new name, the sealed new record, the sealed successor, when the successor ends, absolute deadline,
--       idle timeout, created, what the old record began with when it was read
-- Answers { 1, milliseconds to live, '' }: moved;
--         { 2, 0, successor }: nothing written, somebody else was first;
--         { 3, 0, '' }: nothing written, the old record is another one than the one that was read: read it again;
--         { 0, 0, '' }: nothing written, there is no such session, and it has not come back by this.
local user, old, new = KEYS[1], KEYS[2], KEYS[3]
local ends, deadline, idle = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])

-- The new name is drawn for one call: finding it means that the call was repeated because its answer was lost.
local lives = redis.call('PTTL', new)
if lives > 0 then
  return { 1, lives, '' }
end

local now = store_time()
local expiry = math.min(now + idle, deadline)
local stored = redis.call('GET', old)
if is_successor(stored) then
  return { 2, 0, stored }
end
if not stored or expiry <= now then
  return { 0, 0, '' }
end

-- The new record is made of what was read: it must not bring back what was changed since.
if string.sub(stored, 1, 15) ~= ARGV[9] then
  return { 3, 0, '' }
end

-- Fails where something else stands in the index's place, before a session is written that no index names.
redis.call('HGET', user, ARGV[1])

-- The new record first: a full Redis refuses the first write of a script if it needs memory, and then the session stays what
-- it was.
redis.call('SET', new, ARGV[3], 'PXAT', digits(expiry))
ends = math.min(ends, expiry)
if ends > now then
  redis.call('SET', old, ARGV[4], 'PXAT', digits(ends))
else
  redis.call('DEL', old)
end
redis.call('HDEL', user, ARGV[1])
redis.call('HSET', user, ARGV[2], digits(expiry) .. ':' .. ARGV[8])
sweep_index(user, now)
return { 1, expiry - now, '' }
