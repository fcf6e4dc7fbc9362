--[[ next_due: ms until something falls due (a job, a lease, a deadline, a group's rate), or -1.

  KEYS  delayed active deadlines throttled
]]
-- @include held_until
local function next_due(time)
  local soonest, sets = -1, { active }
  if redis.call("EXISTS", delayed, deadlines, throttled) > 0 then
    sets = { delayed, active, deadlines, throttled }
  end
  for _, set in ipairs(sets) do
    local first = redis.call("ZRANGE", set, "0", "0", "WITHSCORES")
    if first[2] then
      local due = tonumber(first[2])
      if set == active and due <= time then
        due = held_until(time)
      end
      local wait = math.max(0, due - time)
      if soonest < 0 or wait < soonest then
        soonest = wait
      end
    end
  end
  return soonest
end
