--[[ promote_due: let delayed jobs wait for a worker once their time has come, and groups once their rate allows it.

  Returns how many jobs.

  KEYS  job_of delayed throttled
]]
-- @include read_job
-- @include to_waiting
-- @include place_group
local function promote_due(time, limit)
  local due = redis.call("ZRANGEBYSCORE", delayed, "-inf", time, "LIMIT", 0, limit)
  for _, id in ipairs(due) do
    redis.call("ZREM", delayed, id)
    local job = read_job(id)
    if job and job.state == "delayed" then
      redis.call("HSET", job_of .. id, "state", "waiting", "seq", job.seq + 1)
      to_waiting(id, job.options.group, false)
    end
  end
  for _, group in ipairs(redis.call("ZRANGEBYSCORE", throttled, "-inf", time, "LIMIT", 0, limit)) do
    redis.call("ZREM", throttled, group)
    place_group(group)
  end
  return #due
end
