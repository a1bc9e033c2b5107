-- What the scripts share that keep session_keys; it is put before each of them.
--
-- A generation begins with its version (1 byte), the time of its reservation (6, big-endian) and a fingerprint (8).
-- Times are compared as numbers: Lua compares strings as the server's locale does.
local function reserved_at(generation)
  local time = 0
  for i = 2, 7 do time = time * 256 + string.byte(generation, i) end
  return time
end

-- Newest reservation first, the same key once, two in all: five parallel logins that bring one key do not push out the
-- key before it. A login that reserved its code before the last reset (kr) may bring the key that the reset has ended.
local function keep_generation(user, fresh)
  local stored = redis.call('HMGET', user, 'k0', 'k1', 'kr')
  if stored[3] and reserved_at(fresh) < tonumber(stored[3]) then
    return
  end
  local kept = { fresh }
  for place = 1, 2 do
    local old = stored[place]
    if old and #old >= 15 then
      if string.sub(old, 8, 15) ~= string.sub(fresh, 8, 15) then
        kept[#kept + 1] = old
      elseif reserved_at(old) >= reserved_at(fresh) then
        return
      end
    end
  end
  -- Two kept ones are in order already; the fresh one sinks to its place.
  local i = 1
  while kept[i + 1] and reserved_at(kept[i + 1]) > reserved_at(kept[i]) do
    kept[i], kept[i + 1] = kept[i + 1], kept[i]
    i = i + 1
  end
  redis.call('HSET', user, 'k0', kept[1])
  if kept[2] then redis.call('HSET', user, 'k1', kept[2]) end
end
