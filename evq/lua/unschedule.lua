--[[ unschedule: forget a schedule; jobs that it has enqueued stay.

  KEYS     schedules schedule_specs
  ARGV     name  str
  RETURNS  OK, NOT_FOUND
]]
redis.call("HDEL", schedule_specs, name)
return redis.call("ZREM", schedules, name) == 1 and "OK" or "NOT_FOUND"
