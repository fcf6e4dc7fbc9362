--[[ crash: take jobs back whose own process died, provided the caller still holds their leases.

  ARGV     keep_ms     int  how long an ended job is kept
           keep_count  int  how many ended jobs are kept
  EACH     id          str
           fence       int
  RETURNS  a word a job: OK, REPEATED, STALE
  STATE    active -> waiting, active -> failed, active -> cancelled
]]
-- @include now
-- @include records
-- @include each_lease
-- @include take_back
-- @include finish
-- @include wake_workers
-- @include emit
local time, again = now(), {}
read_jobs(firsts())
local words = each_lease(function(id, job, fence)
  job.rare.settled = fence
  if take_back(id, job, time, 3) then
    again[#again + 1] = id
  end
end)
wake_workers(#again)
emit("reclaimed", again)
finish(time, keep_ms, keep_count)
return words
