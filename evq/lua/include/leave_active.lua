--[[ leave_active: take a job's lease away, and give its place in its group back.

  KEYS  active group_of
]]
-- @include place_group
local function leave_active(id, job)
  redis.call("ZREM", active, id) -- a removal first, so that a full Redis takes what follows
  local group = job.options.group
  if group then
    local left = redis.call("HINCRBY", group_of .. group, "active", -1)
    place_group(group)
    if left <= 0 then
      redis.call("HDEL", group_of .. group, "active", "turn")
    end
  end
end
