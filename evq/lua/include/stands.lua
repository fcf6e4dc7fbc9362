--[[ stands: is there a job of this id that will stay?

  One that is staged may be dropped until its batch is marked. If it is asked for again, its producer has begun anew: the
  batch is given up here, so that a mark that was under way for long cannot count its jobs beside the new ones.

  KEYS  job_of staging marked
]]
local function stands(id)
  local state, batch = unpack(redis.call("HMGET", job_of .. id, "state", "batch"))
  if state == "staged" and not redis.call("ZSCORE", marked, batch or "") then
    redis.call("ZADD", staging, "XX", 0, batch or "")
    return false
  end
  return state
end
