--[[ schedule: store a schedule, in the place of one of that name; if nothing has changed it keeps its next instant.

  KEYS     schedules schedule_specs
  ARGV     name     str
           spec     str  JSON
           next_ms  int  the instant at which a new or changed one fires next
  RETURNS  the instant at which it fires next, ms
]]
local kept = redis.call("HGET", schedule_specs, name) == spec and redis.call("ZSCORE", schedules, name)
if kept then
  return tonumber(kept)
end
redis.call("HSET", schedule_specs, name, spec)
redis.call("ZADD", schedules, next_ms, name)
return next_ms
