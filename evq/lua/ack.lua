--[[ ack: complete jobs, provided the caller still holds their leases.

  Success that comes here first wins over a cancel that was only requested.

  ARGV     keep_ms     int  how long an ended job is kept
           keep_count  int  how many ended jobs are kept
  EACH     id          str
           fence       int
           result      str  JSON
  RETURNS  a word a job: OK, REPEATED, STALE
  STATE    active -> completed
]]
-- @include now
-- @include settle_each
-- @include end_job
-- @include finish
-- @include tally
local time = now()
local words = settle_each(function(id, job, _, result)
  job.result = result
  end_job(id, job, "completed", time)
  tally_time("work", time - job.started)
end)
finish(time, keep_ms, keep_count)
return words
