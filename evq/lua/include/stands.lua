--[[ stands: is there a job of this id that will stay? One that is staged may be dropped until its batch is marked.

  KEYS  job_of marked
]]
local function stands(id)
  local state, batch = unpack(redis.call("HMGET", job_of .. id, "state", "batch"))
  return state and (state ~= "staged" or redis.call("ZSCORE", marked, batch or ""))
end
