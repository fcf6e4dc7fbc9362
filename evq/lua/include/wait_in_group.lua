--[[ wait_in_group: put a job among the waiting of its group.

  KEYS  waiting_of counters
]]
-- @include place_group
local function wait_in_group(group, id, score)
  redis.call("ZADD", waiting_of .. group, score, id)
  redis.call("HINCRBY", counters, "grouped", 1)
  place_group(group)
end
