--[[ place_deadline: note by when a job must have started, or ended.

  KEYS  deadlines
]]
local function place_deadline(id, expires, deadline)
  if expires or deadline then
    redis.call("ZADD", deadlines, math.min(expires or math.huge, deadline or math.huge), id)
  end
end
