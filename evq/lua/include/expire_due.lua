--[[ expire_due: end pending jobs that are too late, and drop batches whose producer never marked them.

  One that runs is left to its worker, which knows the deadline, and to `reclaim`.

  KEYS  deadlines staging staged_of
]]
-- @include records
-- @include withdraw
-- @include lateness
-- @include end_job
-- @include forget
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
  local batch = redis.call("ZRANGEBYSCORE", staging, "-inf", time, "LIMIT", 0, 1)[1]
  for _ = 1, batch and limit or 0 do
    local id = redis.call("LPOP", staged_of .. batch)
    if not id then
      redis.call("ZREM", staging, batch)
      break
    end
    local job = read_job(id)
    if job and job.rare.batch == batch then -- else it was enqueued anew, by itself or in another batch
      forget({ id })
    end
  end
end
