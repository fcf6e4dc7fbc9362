--[[ leave_active: take away the leases of jobs, and give their places in their groups back.

  KEYS  active group_of
]]
-- @include records
local function leave_active(ids)
  if #ids > 0 then
    redis.call("ZREM", active, unpack(ids)) -- a removal first, so that a full Redis takes what follows
  end
  local left = {}
  for _, id in ipairs(ids) do
    left[#left + 1] = read_job(id).rare.group
  end
  if #left > 0 then
    -- @include place_group
    for _, group in ipairs(left) do
      local running = redis.call("HINCRBY", group_of .. group, "active", -1)
      place_group(group)
      if running <= 0 then
        redis.call("HDEL", group_of .. group, "active", "turn")
      end
    end
  end
end
