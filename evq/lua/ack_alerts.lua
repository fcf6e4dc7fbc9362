--[[ ack_alerts: store the alerts as they were evaluated, and no others, provided the turn is still the caller's.

  KEYS     alerts alert_turn
  ARGV     holder    str
           pause_ms  int  until the next turn
  EACH     rule      str
           alert     str  JSON
  RETURNS  OK, STALE
]]
if redis.call("GET", alert_turn) ~= holder then
  return "STALE"
end
redis.call("DEL", alerts)
for rule, alert in each() do
  redis.call("HSET", alerts, rule, alert)
end
redis.call("PEXPIRE", alert_turn, pause_ms)
return "OK"
