-- What the scripts share that end all sessions of a user; it is put before each of them.
--
-- Redis Cluster lets a script touch only keys that it was given, so the caller has to name all sessions of the user.

-- Ends them all, and needs no memory: how many ended. The records of `names` are in KEYS, behind the first `before`. If the
-- index has others, nothing is written, and the second answer has the names of all.
--
-- A token that was rotated away needs no mention: its successor leads to a session that has ended.
local function end_all(user, names, before)
  local known, members, listed, all_known = {}, {}, {}, true
  for _, name in ipairs(names) do
    known[name] = true
  end
  for i, session in ipairs((read_index(user, store_time()))) do
    members[i] = session.id
    listed[session.id] = true
    all_known = all_known and known[session.id]
  end
  if not all_known then
    return nil, members
  end
  local ended = 0
  for i, name in ipairs(names) do
    -- One that has gone from the index meanwhile was ended, or rotated away, by somebody else.
    if listed[name] then
      ended = ended + redis.call('DEL', KEYS[before + i])
    end
  end
  redis.call('DEL', user)
  return ended
end
