-- What the session scripts share; it is put before each of them.
--
-- A user's hash holds a field for each session: its name (16 bytes) → "expiry:created", both in milliseconds; and the
-- newest session_keys in k0 and k1, in kr when the platform last reset them, and in kt by whom and when they were last taken
-- away for a reset. No field but a session's has 16 bytes.

-- The store's time in milliseconds: the only clock that decides about a session.
local function store_time()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- Lua would write a number of this size as 1.764e+12.
local function digits(number)
  return string.format('%.0f', number)
end

-- The sessions in the index that have not expired, in the order of the hash, and the names of those that have.
local function read_index(user, now)
  local all, live, dead = redis.call('HGETALL', user), {}, {}
  for i = 1, #all, 2 do
    if #all[i] == 16 then
      local expiry, created = string.match(all[i + 1], '^(%d+):(%d+)$')
      if expiry and tonumber(expiry) > now then
        live[#live + 1] = { id = all[i], expiry = tonumber(expiry), created = tonumber(created), place = i }
      else
        dead[#dead + 1] = all[i]
      end
    end
  end
  return live, dead
end

-- Every write ends with this: fields of sessions that have expired go, and the hash lives as long as the last of those
-- that are left. So no key is without an expiry, and no index outlives its sessions.
local function sweep_index(user, now)
  local live, dead = read_index(user, now)
  for _, id in ipairs(dead) do
    redis.call('HDEL', user, id)
  end
  local last = 0
  for _, session in ipairs(live) do
    last = math.max(last, session.expiry)
  end
  if last == 0 then
    redis.call('DEL', user)
  else
    redis.call('PEXPIREAT', user, digits(last))
  end
end

-- Whether a session's token was rotated away: then a successor stands in the place of the record, which says where the session
-- went. It is sealed, so a script that has to know asks the gateway.
local function is_successor(stored)
  return stored and string.byte(stored) >= 128
end
