-- Stores a component's ticket.
--
-- KEYS: the ticket
-- ARGV: the sealed ticket, when the platform made it and how long it is good from then, how much the platform's
-- clock may be ahead, in milliseconds
-- Answers 1: stored; 0: it is over, or a newer one is there.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local life = tonumber(ARGV[3])
-- The platform's clock may be ahead.
local left = math.min(tonumber(ARGV[2]) + life - now, life)
local held = redis.call('GET', KEYS[1])
-- One that claims to be from the future would keep all others out.
local dated = held and #held >= 15 and written_at(held) or 0
if left <= 0 or dated > written_at(ARGV[1]) and dated <= now + tonumber(ARGV[4]) then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', string.format('%.0f', left))
return 1
