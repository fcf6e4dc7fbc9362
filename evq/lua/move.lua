--[[ move: add the jobs of marked batches.

  ARGV     limit    int
  RETURNS  1 if there is more to move, else nothing
  STATE    new -> waiting, new -> delayed
]]
-- @include now
-- @include records
-- @include move_marked
-- @include tally
local time = now()
local more = move_marked(time, limit)
write_tally(time)
save_jobs()
return more
