--[[ expire: end pending jobs that are too late, drop batches whose producer is gone, and forget ended jobs that are older,
  or more, than shall be kept.

  ARGV     limit       int
           keep_ms     int  how long an ended job is kept
           keep_count  int  how many ended jobs are kept
  RETURNS  of how many ended jobs it looked whether they may be forgotten: of each state at most as many as the limit
  STATE    waiting -> failed, delayed -> failed, parked -> failed, completed -> gone,
           failed -> gone, cancelled -> gone
]]
-- @include now
-- @include expire_due
-- @include final
-- @include let_old_go
-- @include finish
local time, looks = now(), 0
expire_due(time, limit)
finish(time, keep_ms, keep_count)
for state in pairs(final) do
  looks = math.max(looks, let_old_go(state, limit, time, keep_ms, keep_count))
end
return looks
