-- Reserves a login code: the first to come exchanges it, the others wait for the answer.
--
-- KEYS: the reservation, "P" and the holder's ticket while the code is exchanged, "S" and the sealed answer afterwards
-- ARGV: a fresh ticket, the lease in milliseconds
-- Answers { seconds, microseconds, state, answer, left }: the store's time, and 0: reserved by this call; 1: by another,
-- which lapses in so many milliseconds; 2: settled.
local time = redis.call('TIME')
local held = redis.call('GET', KEYS[1])
local mine = 'P' .. ARGV[1]
if not held then
  redis.call('SET', KEYS[1], mine, 'PX', ARGV[2])
end
-- A ticket is drawn for one call: finding it means that the call was repeated because its answer was lost.
if not held or held == mine then
  return { time[1], time[2], 0, '', 0 }
end
if string.sub(held, 1, 1) == 'S' then
  return { time[1], time[2], 2, string.sub(held, 2), 0 }
end
return { time[1], time[2], 1, '', math.max(redis.call('PTTL', KEYS[1]), 0) }
