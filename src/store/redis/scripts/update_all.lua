-- Puts the changed records of all sessions of a user, and the user's new state, into the place of those that were read.
--
-- KEYS: the user's hash, the user's state, then the records of the sessions that the caller knows of
-- ARGV: the state as it was read ('': none), the new state, when it ends, until when it may be written; then for each session
--       its name, what its record began with when it was read ('': there was none), the new record ('': it stays)
-- Answers 1: done; 0: nothing written, since something is not as it was read: read again; 2: nothing written, it came too late: read
-- again, and allow more time.
local user, state = KEYS[1], KEYS[2]
local held = redis.call('GET', state) or ''
-- A state is sealed for one call: finding it means that the call was repeated because its answer was lost.
if held == ARGV[2] then
  return 1
end
local now = store_time()
-- A login that reserves its code after the state's time takes the change for an older truth than its own.
if held ~= ARGV[1] then
  return 0
end
if now > tonumber(ARGV[4]) then
  return 2
end

local known = {}
for i = 3, #KEYS do
  known[ARGV[i * 3 - 4]] = i
end
local written = {}
for _, session in ipairs((read_index(user, now))) do
  local i = known[session.id]
  if not i then
    return 0
  end
  local stored = redis.call('GET', KEYS[i])
  if (stored and string.sub(stored, 1, 15) or '') ~= ARGV[i * 3 - 3] then
    return 0
  end
  if ARGV[i * 3 - 2] ~= '' then
    written[#written + 1] = i
  end
end

-- The first of them is refused by a full Redis, and then nothing has changed.
for _, i in ipairs(written) do
  redis.call('SET', KEYS[i], ARGV[i * 3 - 2], 'XX', 'KEEPTTL')
end
redis.call('SET', state, ARGV[2], 'PXAT', ARGV[3])
return 1
