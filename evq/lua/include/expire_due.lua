--[[ expire_due: end pending jobs that are too late, and drop batches whose producer never marked them.

  One that runs is left to its worker, which knows the deadline, and to `reclaim`.

  KEYS  job_of deadlines staging staged_of
]]
-- @include read_job
-- @include withdraw
-- @include lateness
-- @include end_job
-- @include forget
local function expire_due(time, limit, keep_ms)
  for _, id in ipairs(redis.call("ZRANGEBYSCORE", deadlines, "-inf", time, "LIMIT", 0, limit)) do
    redis.call("ZREM", deadlines, id)
    local job = read_job(id)
    local late = job and lateness(job, time)
    if late and withdraw(id, job) then
      end_job(id, job, "failed", time, keep_ms, "error", late)
    end
  end
  local batch = redis.call("ZRANGEBYSCORE", staging, "-inf", time, "LIMIT", 0, 1)[1]
  for _ = 1, batch and limit or 0 do
    local id = redis.call("LPOP", staged_of .. batch)
    if not id then
      redis.call("ZREM", staging, batch)
      break
    end
    if redis.pcall("HGET", job_of .. id, "batch") == batch then -- else another batch has it now
      forget(id, "staged")
    end
  end
end
