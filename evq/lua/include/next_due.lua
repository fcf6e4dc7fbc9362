--[[ next_due: ms until the next delayed job falls due or the next lease runs out, or -1 if there is neither.

  KEYS  delayed active
]]
local function next_due(time)
  local soonest = -1
  for _, set in ipairs({ delayed, active }) do
    local first = redis.call("ZRANGE", set, 0, 0, "WITHSCORES")
    if first[2] then
      local wait = math.max(0, tonumber(first[2]) - time)
      if soonest < 0 or wait < soonest then
        soonest = wait
      end
    end
  end
  return soonest
end
