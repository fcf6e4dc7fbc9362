--[[ let_go: forget jobs that have ended. Those whose hooks have not run yet stay, and go behind the others of their
  index. Returns how many were forgotten.

  KEYS  ended
]]
-- @include forget
local function let_go(index, ids, state, time)
  local count = 0
  for _, id in ipairs(ids) do
    redis.call("ZREM", index, id) -- a removal first, so that a full Redis can be purged
    if redis.call("ZSCORE", ended, id) then
      redis.call("ZADD", index, time, id)
    else
      forget(id, state)
      count = count + 1
    end
  end
  return count
end
