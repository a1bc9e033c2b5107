-- Reserves the delivery of a pushed message: the first to come delivers it, the others wait.
--
-- KEYS: the message: "P" and the holder's ticket while it is delivered, "K" and the sealed message while it is kept, "S" and the sealed
-- answer once the backend has it
-- ARGV: a fresh ticket, the lease in milliseconds
-- Answers { state, answer }: 0: reserved by this call; 1: by another; 2: delivered; 3: kept.
local held = redis.call('GET', KEYS[1])
local mine = 'P' .. ARGV[1]
if not held then
  redis.call('SET', KEYS[1], mine, 'PX', ARGV[2])
end
-- A ticket is drawn for one call: finding it means that the call was repeated because its answer was lost.
if not held or held == mine then
  return { 0, '' }
end
local kind = string.sub(held, 1, 1)
if kind == 'S' then
  return { 2, held }
end
return { kind == 'K' and 3 or 1, '' }
