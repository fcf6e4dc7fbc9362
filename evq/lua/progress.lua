--[[ progress: store how far an active job is, provided the caller still holds its lease.

  KEYS     job_of progress_of
  ARGV     id        str
           fence     int
           progress  str  JSON
  RETURNS  OK, REPEATED, STALE
  STATE    active -> active
]]
-- @include check_lease
-- @include emit
local word, job = check_lease(id, fence)
if job then
  redis.call("DEL", progress_of .. id) -- a removal first, so that a full Redis lets jobs go on
  redis.call("SET", progress_of .. id, progress)
  redis.call("HSET", job_of .. id, "seq", job.seq + 1)
  emit("progress", { id }, "seq", job.seq + 1, "progress", progress)
end
return word
