--[[ pause: let no job of the queue, or of one group, start any more; those that run go on.

  KEYS     limits group_of
  ARGV     group    str  or nothing
  RETURNS  nothing
]]
-- @include place_group
-- @include emit
redis.call("HSET", group == "" and limits or group_of .. group, "paused", 1)
if group ~= "" then
  place_group(group)
end
emit("paused", { group })
return false
