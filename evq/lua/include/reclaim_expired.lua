--[[ reclaim_expired: take back jobs whose lease ran out; their worker is gone, or cut off. Returns how many came back.

  A job that ran in a process of its own is not blamed for the loss of the whole worker, unless it happens ten times.

  KEYS  active
]]
-- @include records
-- @include take_back
-- @include held_until
-- @include emit
local function reclaim_expired(time, limit)
  local again = {}
  local expired = redis.call("ZRANGEBYSCORE", active, "-inf", time, "LIMIT", 0, limit)
  if #expired > 0 and held_until(time) > time then
    return 0
  end
  -- Each goes before those that are in front, so the first comes last.
  for i = #expired, 1, -1 do
    local id = expired[i]
    local job = read_job(id)
    if not job or job.state ~= "active" then
      redis.call("ZREM", active, id)
    else
      job.fence = job.fence + 1 -- from now on the lease that was lost is stale
      if take_back(id, job, time, job.rare.isolated and 10 or 3) then
        again[#again + 1] = id
      end
    end
  end
  emit("reclaimed", again)
  return #again
end
