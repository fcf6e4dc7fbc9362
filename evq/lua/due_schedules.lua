--[[ due_schedules: list the schedules that are to be fired now.

  KEYS     schedules schedule_specs
  ARGV     limit  int
  RETURNS  {ms since the epoch, ms until the next is due or -1, schedule, its instant, spec, ...}
]]
-- @include now
local time, listed = now(), {}
local due = redis.call("ZRANGEBYSCORE", schedules, "-inf", time, "WITHSCORES", "LIMIT", 0, limit)
for i = 1, #due, 2 do
  listed[#listed + 1] = due[i]
  listed[#listed + 1] = tonumber(due[i + 1])
  listed[#listed + 1] = redis.call("HGET", schedule_specs, due[i]) or ""
end
local later = redis.call("ZRANGEBYSCORE", schedules, "(" .. time, "+inf", "WITHSCORES", "LIMIT", 0, 1)
return { time, later[2] and tonumber(later[2]) - time or -1, unpack(listed) }
