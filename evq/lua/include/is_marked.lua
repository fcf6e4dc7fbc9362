--[[ is_marked: was the batch marked? Once it is moved, it is known by having no parts.

  KEYS  staging marked staged_of
]]
local function is_marked(batch, time)
  local known = tonumber(redis.call("ZSCORE", staging, batch) or 0) > time
  return redis.call("ZSCORE", marked, batch) or known and redis.call("EXISTS", staged_of .. batch) == 0
end
