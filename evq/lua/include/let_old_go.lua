--[[ let_old_go: forget the oldest of the ended jobs that are older, or more, than shall be kept, but at most so many.
  Returns how many it looked at.
]]
-- @include final
local function let_old_go(state, most, time, keep_ms, keep_count)
  local index = final[state]
  local old = redis.call("ZCOUNT", index, "-inf", time - keep_ms)
  local excess = math.min(math.max(old, redis.call("ZCARD", index) - keep_count), most)
  if excess > 0 then
    -- @include let_go
    let_go(state, redis.call("ZRANGE", index, 0, excess - 1), time)
  end
  return math.max(excess, 0)
end
