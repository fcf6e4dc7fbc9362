--[[ place_job: let a new job wait, or be delayed until it is due.

  KEYS  delayed deadlines
]]
-- @include to_waiting
local function place_deadline(id, job)
  local expires, deadline = job.rare.expires, job.rare.deadline
  if expires or deadline then
    redis.call("ZADD", deadlines, math.min(expires or math.huge, deadline or math.huge), id)
  end
end

local function place_job(id, job, front)
  place_deadline(id, job)
  if job.state == "delayed" then
    redis.call("ZADD", delayed, job.due, id)
  else
    to_waiting(id, job, front)
  end
end
