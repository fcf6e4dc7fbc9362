--[[ leave_active: take away the leases of jobs, and give their places in their groups back.

  KEYS  active group_of
]]
-- @include records
-- @include place_group
local function leave_active(ids)
  if #ids > 0 then
    redis.call("ZREM", active, unpack(ids)) -- a removal first, so that a full Redis takes what follows
  end
  for _, id in ipairs(ids) do
    local group = read_job(id).rare.group
    if group then
      local left = redis.call("HINCRBY", group_of .. group, "active", -1)
      place_group(group)
      if left <= 0 then
        redis.call("HDEL", group_of .. group, "active", "turn")
      end
    end
  end
end
