--[[ expire_due: end pending jobs that are too late, and drop batches whose producer never marked them.

  One that runs is left to its worker, which knows the deadline, and to `reclaim`.

  KEYS  deadlines staging marked staged_of
]]
-- @include records
-- @include withdraw
-- @include lateness
-- @include end_job
local function expire_due(time, limit)
  for _, id in ipairs(redis.call("ZRANGEBYSCORE", deadlines, "-inf", time, "LIMIT", 0, limit)) do
    redis.call("ZREM", deadlines, id)
    local job = read_job(id)
    local late = job and lateness(job, time)
    if late and withdraw(id, job) then
      job.error = late
      end_job(id, job, "failed", time)
    end
  end
  for _, batch in ipairs(redis.call("ZRANGEBYSCORE", staging, "-inf", time, "LIMIT", 0, limit)) do
    redis.call("ZREM", staging, batch)
    if not redis.call("ZSCORE", marked, batch) then
      redis.call("UNLINK", staged_of .. batch)
    end
  end
end
