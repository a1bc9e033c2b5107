-- Finds a platform's token, or says who fetches the next one.
--
-- KEYS: the token, its lease: "P" and the holder's ticket while one is fetched, "R" and that ticket while the new one rests
-- ARGV: a fresh ticket, the lease in milliseconds (0: nothing is reserved), the mark of the token to be replaced (empty: none)
-- Answers { seconds, microseconds, state, milliseconds, token }: the store's time, and 0: reserved by this call; 1: by another;
-- 2: the token, and how long it is good; 3: the one to be replaced was fetched a moment ago, and rests for so long; 4: there is none.
local time = redis.call('TIME')
local function answer(state, milliseconds, token)
  return { time[1], time[2], state, milliseconds, token }
end
local token, left = redis.call('GET', KEYS[1]), redis.call('PTTL', KEYS[1])
-- The gateway always sets an expiry: what has none was put there by hand.
if token and left > 0 and string.sub(token, 8, 15) ~= ARGV[3] then
  return answer(2, left, token)
end
if ARGV[2] == '0' then
  return answer(4, 0, '')
end
local held, mine = redis.call('GET', KEYS[2]), 'P' .. ARGV[1]
local kind = held and string.sub(held, 1, 1)
if kind == 'R' and token then
  return answer(3, redis.call('PTTL', KEYS[2]), '')
end
-- A ticket is drawn for one call: finding it means that the call was repeated because its answer was lost.
if kind == 'P' and held ~= mine then
  return answer(1, 0, '')
end
redis.call('SET', KEYS[2], mine, 'PX', ARGV[2])
return answer(0, 0, '')
