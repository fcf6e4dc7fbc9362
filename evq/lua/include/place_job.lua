--[[ place_job: let a new job wait, or be delayed until it is due. The caller has written its record.

  KEYS  delayed deadlines
]]
-- @include to_waiting
local function place_deadline(id, options)
  if options.expires or options.deadline then
    redis.call("ZADD", deadlines, math.min(options.expires or math.huge, options.deadline or math.huge), id)
  end
end

local function place_job(id, options, due, front, time)
  place_deadline(id, options)
  if due > time then
    redis.call("ZADD", delayed, due, id)
  else
    to_waiting(id, options.group, front)
  end
end
