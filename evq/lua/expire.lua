--[[ expire: end pending jobs that are too late, and drop batches whose producer is gone.

  ARGV     limit       int
           keep_ms     int  how long an ended job is kept
           keep_count  int  how many ended jobs are kept
  RETURNS  nothing
  STATE    waiting -> failed, delayed -> failed, parked -> failed, staged -> gone
]]
-- @include now
-- @include expire_due
-- @include finish
local time = now()
expire_due(time, limit, keep_ms)
finish(time, keep_ms, keep_count)
return false
