--[[ reclaim: take back jobs whose lease ran out.

  ARGV     limit       int
           keep_ms     int  how long an ended job is kept
           keep_count  int  how many ended jobs are kept
  RETURNS  how many
  STATE    active -> waiting, active -> failed, active -> cancelled
]]
-- @include now
-- @include reclaim_expired
-- @include finish
-- @include wake_workers
local time = now()
local count = reclaim_expired(time, limit)
wake_workers(count)
finish(time, keep_ms, keep_count)
return count
