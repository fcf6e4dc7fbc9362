--[[ end_job: bring a job to its final state, and let everyone know who must: hooks and waiters.

  The job has been taken from where it was. One whose end has hooks goes on the `ended` list and is kept until they have
  run, or for a week if nobody runs them. What can be done once for all jobs of a call is left to `finish`.

  KEYS  deadlines dedup_of ended progress_of
]]
-- @include records
-- @include ends
-- @include has_hook
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
    -- @include tell_waiters
    tell_waiters(id)
  end
  if has_hook(job.task, state) then
    -- @include wake_workers
    redis.call("ZREMRANGEBYSCORE", ended, "-inf", time - 604800000)
    redis.call("ZADD", ended, time, id)
    wake_workers(1)
  end
end
