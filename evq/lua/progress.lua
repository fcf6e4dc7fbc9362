--[[ progress: store how far an active job is, provided the caller still holds its lease.

  KEYS     progress_of
  ARGV     id        str
           fence     int
           progress  str  JSON
  RETURNS  OK, REPEATED, STALE
  STATE    active -> active
]]
-- @include records
-- @include check_lease
-- @include emit
local word, job = check_lease(id, fence)
if job then
  redis.call("DEL", progress_of .. id) -- a removal first, so that a full Redis lets jobs go on
  redis.call("SET", progress_of .. id, progress)
  job.seq, job.rare.progressed = job.seq + 1, true
  save_job(id, job)
  emit("progress", { id }, "seq", job.seq, "progress", progress)
  save_jobs()
end
return word
