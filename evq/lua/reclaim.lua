--[[ reclaim: take back jobs whose lease ran out.

  ARGV     limit    int
           keep_ms  int  how long an ended job is kept
  RETURNS  how many
  STATE    active -> waiting, active -> cancelled
]]
-- @include now
-- @include reclaim_expired
-- @include wake_workers
local count = reclaim_expired(now(), limit, keep_ms)
wake_workers(count)
return count
