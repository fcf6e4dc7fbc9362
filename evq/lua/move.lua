--[[ move: let jobs of marked batches join the others.

  ARGV     limit       int
           keep_ms     int  how long an ended job is kept
           keep_count  int  how many ended jobs are kept
  RETURNS  how many it looked at: if as many as the limit, there may be more
  STATE    staged -> waiting, staged -> delayed, staged -> cancelled
]]
-- @include now
-- @include move_marked
-- @include finish
-- @include wake_workers
local time = now()
local looks, moved = move_marked(time, limit)
wake_workers(moved)
finish(time, keep_ms, keep_count)
return looks
