--[[ log: add a line to a job's log, of which the last are kept, provided the caller still holds its lease.

  KEYS     log_of
  ARGV     id       str
           fence    int
           line     str
           most     int  lines
           keep_ms  int  after the last line
  RETURNS  OK, REPEATED, STALE
]]
-- @include check_lease
local word, job = check_lease(id, fence)
if job then
  redis.call("LTRIM", log_of .. id, 1 - most, -1) -- a removal first, so that a full Redis lets jobs go on
  redis.call("RPUSH", log_of .. id, line)
  redis.call("PEXPIRE", log_of .. id, keep_ms)
end
return word
