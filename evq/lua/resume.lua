--[[ resume: let jobs of the queue, or of one group, start again.

  KEYS     limits group_of
  ARGV     group    str  or nothing
  RETURNS  nothing
]]
-- @include place_group
-- @include wake_workers
-- @include emit
redis.call("HDEL", group == "" and limits or group_of .. group, "paused")
if group ~= "" then
  place_group(group)
end
wake_workers(32)
emit("resumed", { group })
return false
