-- What the scripts of components share; it is put before each of them.

-- The time in a value's header: version (1 byte), time (6, big-endian milliseconds), mark of the text (8).
local function written_at(value)
  local time = 0
  for i = 2, 7 do time = time * 256 + string.byte(value, i) end
  return time
end

-- Tells equal texts from different ones.
local function mark_of(value)
  return value and string.sub(value, 8, 15) or ''
end
