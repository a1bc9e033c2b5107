-- Makes a session: its record, its place in the user's index, the session_key it brought; and keeps to the cap.
--
-- KEYS: the user's hash, the record, the cell of the user's limit, the user's state, then the records of those sessions that
--       may be evicted
-- ARGV: the session's name, the sealed record, created, absolute deadline, idle timeout, cap (0: none), the session_key
--       generation (empty: none), the limit's interval (0: no limit) and capacity, the state that the record obeys (empty:
--       none), how long that is to live from now on (0: as long as before), then the names of the sessions whose records are in
--       KEYS, in the same order
-- Answers { 1, milliseconds to live, names of evicted sessions }: made;
--         { 0, 0, names of the user's sessions }: nothing written, the cap demands an eviction: come again with these;
--         { -1, 0, {} }: nothing written, the session would be over before it began;
--         { -2, microseconds, {} }: nothing written, the user's limit is used up, and so much is owed;
--         { -3, milliseconds, { state } }: nothing written, the user has another state, and this is the store's time: obey it,
--         and come again.
--
-- Redis Cluster lets a script touch only keys that it was given, so the first call cannot evict: it answers who is
-- there. A caller whom others overtake is told again.
local user, record = KEYS[1], KEYS[2]
local id, sealed, created = ARGV[1], ARGV[2], ARGV[3]
local deadline, idle, cap, fresh_key = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7]

local now = store_time()
local expiry = math.min(now + idle, deadline)
if expiry <= now then
  return { -1, 0, {} }
end

-- It is sealed, so the gateway reads it: whether the user is blocked, and what was changed since the login began.
local held = redis.call('GET', KEYS[4]) or ''
if held ~= ARGV[10] then
  return { -3, now, { held } }
end

-- Before anything is evicted for a session that does not come to be. A session that is there already is a repeated call's,
-- because its answer was lost on the way: it has been counted.
local interval, count = tonumber(ARGV[8]), nil
if interval > 0 and redis.call('EXISTS', record) == 0 then
  local admitted, owed, keep = take_one(KEYS[3], interval, tonumber(ARGV[9]))
  if not admitted then
    return { -2, owed, {} }
  end
  count = keep
end

local known = {}
for i = 12, #ARGV do
  known[ARGV[i]] = KEYS[i - 7]
end

-- Sessions that count against the cap. The name itself is there when an answer was lost on the way and the call is
-- repeated; a record that somebody deleted by hand must not push out a session that lives.
local others, gone = {}, {}
for _, session in ipairs((read_index(user, now))) do
  local key = known[session.id]
  if key and redis.call('EXISTS', key) == 0 then
    gone[#gone + 1] = session.id
  elseif session.id ~= id then
    others[#others + 1] = session
  end
end

local evicted = {}
if cap > 0 and #others >= cap then
  table.sort(others, function(a, b)
    if a.created ~= b.created then return a.created < b.created end
    return a.place < b.place
  end)
  for i = 1, #others + 1 - cap do
    evicted[i] = others[i].id
    if not known[evicted[i]] then
      local members = {}
      for j, session in ipairs(others) do members[j] = session.id end
      return { 0, 0, members }
    end
  end
end

-- The record first: a full Redis refuses the first write of a script if it needs memory, and then nothing has been
-- evicted for a session that does not come to be.
redis.call('SET', record, sealed, 'PXAT', digits(expiry))
if count then
  count()
end
redis.call('HSET', user, id, digits(expiry) .. ':' .. created)
if tonumber(ARGV[11]) > 0 then
  redis.call('PEXPIREAT', KEYS[4], digits(now + tonumber(ARGV[11])))
end
for _, other in ipairs(evicted) do
  redis.call('DEL', known[other])
  redis.call('HDEL', user, other)
end
for _, other in ipairs(gone) do
  redis.call('HDEL', user, other)
end

if fresh_key ~= '' then
  keep_generation(user, fresh_key)
end
sweep_index(user, now)
return { 1, expiry - now, evicted }
