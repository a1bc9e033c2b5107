-- Deletes the tokens of an authorizer that has withdrawn, and its tickets: without its lease, a ticket that is being
-- fetched is not stored. The withdrawal is remembered: whoever found no refresh token and asks the platform for it now
-- stores none.
--
-- KEYS: the component's authorizers, the authorizer's last withdrawal, its token, its tickets and their leases
-- ARGV: the authorizer, when it withdrew, in milliseconds, a fresh name for the withdrawal, how long that is remembered, in
-- milliseconds
-- Answers 1: deleted, or nothing was there; 0: what is there is newer.
local kept = redis.call('HGET', KEYS[1], ARGV[1])
if kept and #kept >= 15 and written_at(kept) > tonumber(ARGV[2]) then
  return 0
end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('DEL', unpack(KEYS, 3))
-- Last: a full Redis refuses it only before the script has written.
redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[4])
return 1
