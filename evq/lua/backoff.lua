--[[ backoff: let jobs be tried again after a delay, provided the caller still holds their leases.

  The delay is the client's: Redis seeds Lua's random numbers the same way each time, so there is no jitter in here. One
  that would go beyond the job's deadline ends it.

  KEYS     delayed ended
  ARGV     keep_ms     int  how long an ended job is kept
           keep_count  int  how many ended jobs are kept
  EACH     id          str
           fence       int
           delay_ms    int
           error       str  JSON
  RETURNS  a word a job: OK, REPEATED, STALE
  STATE    active -> delayed, active -> failed, active -> cancelled
]]
-- @include now
-- @include records
-- @include settle_each
-- @include lateness
-- @include end_job
-- @include has_hook
-- @include finish
-- @include tally
-- @include wake_workers
-- @include emit
local time, retried = now(), {}
local words = settle_each(function(id, job, fence, delay_ms, error)
  local due = time + delay_ms
  job.rare.settled = fence
  job.failures, job.error = job.failures + 1, error
  tally_time("work", time - job.started)
  if job.rare.cancel then
    end_job(id, job, "cancelled", time)
  elseif lateness(job, due) then
    end_job(id, job, "failed", time)
  else
    redis.call("ZADD", delayed, due, id)
    job.state, job.due, job.seq = "delayed", due, job.seq + 1
    save_job(id, job)
    retried[#retried + 1] = id
    if has_hook(job.task, "retried") then
      redis.call("ZADD", ended, time, id .. ":" .. job.failures)
    end
  end
end)

if #retried > 0 then
  tally("retried", #retried)
  wake_workers(1) -- a sleeper must learn of the new due time
end
emit("retried", retried)
finish(time, keep_ms, keep_count)
return words
