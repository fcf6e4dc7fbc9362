--[[ stands: is there a job of this id that will stay?

  One that is staged may be dropped until its batch is marked. If it is asked for again, its producer has begun anew: the
  batch is given up here, so that a mark that was under way for long cannot count its jobs beside the new ones.

  KEYS  staging marked
]]
-- @include records
local function stands(id)
  local job = read_job(id)
  local batch = job and job.rare.batch or ""
  if job and job.state == "staged" and not redis.call("ZSCORE", marked, batch) then
    redis.call("ZADD", staging, "XX", 0, batch)
    return false
  end
  return job ~= nil
end
