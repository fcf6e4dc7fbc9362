--[[ end_job: bring a job to its final state, and let everyone know who must: hooks and waiters.

  The job has been taken from where it was. One whose end has hooks goes on the `ended` list and is kept until they have
  run, or for a week if nobody runs them. What can be done once for all jobs of a call is left to `finish`.

  KEYS  deadlines dedup_of ended hooked_tasks progress_of waiters_of waiter_of
]]
-- @include records
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

local function end_job(id, job, state, time)
  local rare = job.rare
  job.state, job.ended, job.seq = state, time, job.seq + 1
  save_job(id, job)
  ends[state] = ends[state] or {}
  table.insert(ends[state], id)
  if rare.progressed then
    redis.call("PEXPIRE", progress_of .. id, 3600000)
  end
  if rare.expires or rare.deadline then
    redis.call("ZREM", deadlines, id)
  end
  if rare.dedup and redis.call("GET", dedup_of .. rare.dedup) == id then
    redis.call("DEL", dedup_of .. rare.dedup)
  end
  if rare.watched then
    tell_waiters(id)
  end
  if has_hook(job.task, state) then
    redis.call("ZREMRANGEBYSCORE", ended, "-inf", time - week)
    redis.call("ZADD", ended, time, id)
    wake_workers(1)
  end
end
