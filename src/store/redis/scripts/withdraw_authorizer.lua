-- Deletes the tokens of an authorizer that has withdrawn, and its tickets: without its lease, a ticket that is being
-- fetched is not stored.
--
-- KEYS: the component's authorizers, the authorizer's token, its tickets and their leases
-- ARGV: the authorizer, when it withdrew, in milliseconds
-- Answers 1: deleted, or nothing was there; 0: what is there is newer.
local kept = redis.call('HGET', KEYS[1], ARGV[1])
if kept and #kept >= 15 and written_at(kept) > tonumber(ARGV[2]) then
  return 0
end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('DEL', unpack(KEYS, 2))
return 1
