--[[ promote_due: let delayed jobs wait for a worker once their time has come. Returns how many.

  KEYS  job_of delayed
]]
-- @include to_waiting
local function promote_due(time, limit)
  local due = redis.call("ZRANGEBYSCORE", delayed, "-inf", time, "LIMIT", 0, limit)
  for _, id in ipairs(due) do
    redis.call("ZREM", delayed, id)
    local priority = redis.call("HGET", job_of .. id, "priority")
    if priority then
      redis.call("HINCRBY", job_of .. id, "seq", 1)
      to_waiting(id, tonumber(priority), false)
    end
  end
  return #due
end
