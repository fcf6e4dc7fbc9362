--[[ let_go: forget the first jobs of an index of ended ones. Those whose hooks have not run yet stay, and go behind the
  others. Returns how many were forgotten.

  KEYS  completed failed cancelled ended
]]
-- @include forget
local final = { completed = completed, failed = failed, cancelled = cancelled }

local function let_go(state, ids, time)
  if #ids == 0 then
    return 0
  end
  local index, gone = final[state], {}
  redis.call("ZREM", index, unpack(ids)) -- a removal first, so that a full Redis can be purged
  for i, listed in ipairs(redis.call("ZMSCORE", ended, unpack(ids))) do
    if listed then
      redis.call("ZADD", index, time, ids[i])
    else
      gone[#gone + 1] = ids[i]
    end
  end
  forget(gone)
  return #gone
end

-- Forget the oldest of what is older, or more, than shall be kept, but at most so many. Returns how many it looked at.
local function let_old_go(state, most, time, keep_ms, keep_count)
  local index = final[state]
  local old = redis.call("ZCOUNT", index, "-inf", time - keep_ms)
  local excess = math.min(math.max(old, redis.call("ZCARD", index) - keep_count), most)
  if excess > 0 then
    let_go(state, redis.call("ZRANGE", index, 0, excess - 1), time)
  end
  return math.max(excess, 0)
end
