--[[ fail: end jobs without success, provided the caller still holds their leases; no attempt is left, or none may help.

  KEYS     job_of
  ARGV     keep_ms     int  how long an ended job is kept
           keep_count  int  how many ended jobs are kept
  EACH     id          str
           fence       int
           error       str  JSON
  RETURNS  a word a job: OK, REPEATED, STALE
  STATE    active -> failed, active -> cancelled
]]
-- @include now
-- @include each_lease
-- @include leave_active
-- @include end_job
-- @include finish
-- @include tally
local time = now()
local words = each_lease(function(id, job, fence, error)
  leave_active(id, job)
  redis.call("HSET", job_of .. id, "failures", job.failures + 1)
  end_job(id, job, job.cancel and "cancelled" or "failed", time, keep_ms, "error", error, "settled", fence)
  tally_time("work", time - job.started)
end)
finish(time, keep_ms, keep_count)
return words
