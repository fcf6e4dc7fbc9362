--[[ promote_due: let delayed jobs wait for a worker once their time has come, and groups once their rate allows it.

  Returns how many jobs.

  KEYS  delayed throttled
]]
-- @include records
-- @include to_waiting
-- @include place_group
local function promote_due(time, limit)
  local due = redis.call("ZRANGEBYSCORE", delayed, "-inf", time, "LIMIT", 0, limit)
  if #due > 0 then
    redis.call("ZREM", delayed, unpack(due))
  end
  read_jobs(due)
  for _, id in ipairs(due) do
    local job = read_job(id)
    if job and job.state == "delayed" then
      job.state, job.seq = "waiting", job.seq + 1
      save_job(id, job)
      to_waiting(id, job)
    end
  end
  for _, group in ipairs(redis.call("ZRANGEBYSCORE", throttled, "-inf", time, "LIMIT", 0, limit)) do
    redis.call("ZREM", throttled, group)
    place_group(group)
  end
  return #due
end
