--[[ fail: end jobs without success, provided the caller still holds their leases; no attempt is left, or none may help.

  ARGV     keep_ms     int  how long an ended job is kept
           keep_count  int  how many ended jobs are kept
  EACH     id          str
           fence       int
           error       str  JSON
  RETURNS  a word a job: OK, REPEATED, STALE
  STATE    active -> failed, active -> cancelled
]]
-- @include now
-- @include settle_each
-- @include end_job
-- @include finish
-- @include tally
local time = now()
local words = settle_each(function(id, job, _, error)
  job.failures, job.error = job.failures + 1, error
  end_job(id, job, job.rare.cancel and "cancelled" or "failed", time)
  tally_time("work", time - job.started)
end)
finish(time, keep_ms, keep_count)
return words
