--[[ snooze: hand jobs back without counting an attempt, provided the caller still holds their leases.

  Without a delay they go in front: their worker stops, and the next one takes them at once. One that would go beyond the
  job's deadline ends it.

  KEYS     delayed
  ARGV     keep_ms     int  how long an ended job is kept
           keep_count  int  how many ended jobs are kept
  EACH     id          str
           fence       int
           delay_ms    int  0: now
  RETURNS  a word a job: OK, REPEATED, STALE
  STATE    active -> waiting, active -> delayed, active -> failed, active -> cancelled
]]
-- @include now
-- @include records
-- @include settle_each
-- @include lateness
-- @include end_job
-- @include finish
-- @include to_waiting
-- @include tally
-- @include wake_workers
-- @include emit
local time, snoozed, in_front = now(), {}, {}
local words = settle_each(function(id, job, fence, delay_ms)
  local due = time + delay_ms
  local late = lateness(job, due)
  job.rare.settled = fence
  if job.rare.cancel then
    end_job(id, job, "cancelled", time)
  elseif late then
    job.error = late
    end_job(id, job, "failed", time)
  else
    snoozed[#snoozed + 1] = id
    job.state, job.due, job.seq = delay_ms > 0 and "delayed" or "waiting", due, job.seq + 1
    save_job(id, job)
    if delay_ms > 0 then
      redis.call("ZADD", delayed, due, id)
    else
      in_front[#in_front + 1] = id
    end
  end
end)

-- Each goes before those that are in front, so the first comes last.
for i = #in_front, 1, -1 do
  to_waiting(in_front[i], read_job(in_front[i]), true)
end
if #snoozed > 0 then
  tally("snoozed", #snoozed)
  wake_workers(#snoozed)
end
emit("snoozed", snoozed)
finish(time, keep_ms, keep_count)
return words
