--[[ reclaim_expired: take back jobs whose lease ran out; their worker is gone, or cut off.

  They go in front, since they have waited their turn before. Returns how many came back.

  KEYS  job_of active
]]
-- @include end_job
-- @include to_waiting
-- @include emit
local function reclaim_expired(time, limit, keep_ms)
  local waiting_again, cancelled_now = {}, {}
  local expired = redis.call("ZRANGEBYSCORE", active, "-inf", time, "LIMIT", 0, limit)
  -- Each goes before those that are in front, so the first comes last.
  for i = #expired, 1, -1 do
    local id = expired[i]
    redis.call("ZREM", active, id)
    local priority, cancel = unpack(redis.call("HMGET", job_of .. id, "priority", "cancel"))
    if cancel then
      end_job(id, "cancelled", time, keep_ms)
      cancelled_now[#cancelled_now + 1] = id
    elseif priority then
      redis.call("HINCRBY", job_of .. id, "crashes", 1)
      redis.call("HINCRBY", job_of .. id, "seq", 1)
      to_waiting(id, tonumber(priority), true)
      waiting_again[#waiting_again + 1] = id
    end
  end
  emit("reclaimed", waiting_again)
  emit("cancelled", cancelled_now)
  return #waiting_again
end
