-- What the scripts share that ask a limit's cell; it is put before each of them. The same as src/limit/gcra.rs.
--
-- A cell is a string: the moment, in microseconds, when everything taken so far will have been paid off. It goes then.

-- Takes one: whether there was one, what is owed then, and what keeps it so: until that is called, nothing is written.
local function take_one(cell, interval, capacity)
  local time = redis.call('TIME')
  local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
  -- Never more than the whole: a clock that was set back, or a quota that was made smaller, refuses nobody for longer.
  local owed = math.min(math.max((tonumber(redis.call('GET', cell) or 0) or 0) - now, 0), capacity)
  if owed + interval > capacity then
    return false, owed
  end
  return true, owed + interval, function()
    -- Lua would write a number of this size as 1.764e+15.
    redis.call('SET', cell, string.format('%.0f', now + owed + interval), 'PX', math.ceil((owed + interval) / 1000))
  end
end
