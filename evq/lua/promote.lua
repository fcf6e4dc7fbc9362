--[[ promote: let delayed jobs wait for a worker once their time has come.

  ARGV     limit  int
  RETURNS  ms until something falls due, or -1
  STATE    delayed -> waiting
]]
-- @include now
-- @include records
-- @include promote_due
-- @include next_due
-- @include wake_workers
local time = now()
wake_workers(promote_due(time, limit))
save_jobs()
return next_due(time)
