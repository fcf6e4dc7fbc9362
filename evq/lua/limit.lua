--[[ limit: say how many jobs of the queue, or of one group, may run at a time and start in a while.

  KEYS     limits group_of throttled
  ARGV     group     str  or nothing
           settings  str  JSON: those of concurrency, interval (ms between jobs), burst and weight that there shall be
  RETURNS  nothing
]]
-- @include place_group
-- @include wake_workers
local key = group == "" and limits or group_of .. group
redis.call("HDEL", key, "concurrency", "interval", "burst", "weight", "tat")
for name, value in pairs(cjson.decode(settings)) do
  redis.call("HSET", key, name, value)
end
if group ~= "" then
  redis.call("ZREM", throttled, group)
  place_group(group)
end
wake_workers(32)
return false
