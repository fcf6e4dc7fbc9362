--[[ reserve_alerts: take the turn to evaluate the alert rules, unless it is taken, or the last one was just now.

  KEYS     alerts alert_turn
  ARGV     holder   str
           turn_ms  int  how long others leave the turn to the holder
  RETURNS  {ms since the epoch, {rule, alert, ...}}, or false
]]
-- @include now
local taken = redis.call("GET", alert_turn)
if taken and taken ~= holder then -- its own is no hindrance: the call may be a resent one
  return false
end
redis.call("DEL", alert_turn) -- a removal first, so that a full Redis can be told of
redis.call("SET", alert_turn, holder, "PX", turn_ms)
return { now(), redis.call("HGETALL", alerts) }
