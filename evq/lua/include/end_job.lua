--[[ end_job: bring a job to its final state, with further fields, and let everyone know who must: hooks and waiters.

  The job has been taken from where it was. One whose end has hooks goes on the `ended` list and is kept until they have
  run, or for a week if nobody runs them; any other expires by itself. What can be done once for all jobs of a call is
  left to `finish`.

  KEYS  job_of deadlines dedup_of ended hooked_tasks progress_of waiters_of waiter_of
]]
-- @include wake_workers
local ends, hooked, week = {}, {}, 604800000

local function tell_waiters(id)
  for _, waiter in ipairs(redis.call("SMEMBERS", waiters_of .. id)) do
    redis.call("RPUSH", waiter_of .. waiter, id)
    redis.call("PEXPIRE", waiter_of .. waiter, 60000)
  end
  redis.call("DEL", waiters_of .. id)
end

local function has_hook(task, event)
  local hook = task .. " " .. event
  if hooked[hook] == nil then
    hooked[hook] = redis.call("SISMEMBER", hooked_tasks, hook) == 1
  end
  return hooked[hook]
end

local function end_job(id, job, state, time, keep_ms, ...)
  redis.call("HSET", job_of .. id, "state", state, "ended", time, "seq", job.seq + 1, ...)
  ends[state] = ends[state] or {}
  table.insert(ends[state], id)
  redis.call("PEXPIRE", progress_of .. id, 3600000)
  if job.options.expires or job.options.deadline then
    redis.call("ZREM", deadlines, id)
  end
  if job.options.dedup and redis.call("GET", dedup_of .. job.options.dedup) == id then
    redis.call("DEL", dedup_of .. job.options.dedup)
  end
  if job.watched then
    tell_waiters(id)
  end
  if has_hook(job.task, state) then
    redis.call("ZREMRANGEBYSCORE", ended, "-inf", time - week)
    redis.call("ZADD", ended, time, id)
    wake_workers(1)
    keep_ms = keep_ms + week
  end
  redis.call("PEXPIRE", job_of .. id, keep_ms)
end
