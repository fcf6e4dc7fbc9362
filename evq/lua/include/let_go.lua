--[[ let_go: forget the first jobs of an index of ended ones. Those whose hooks have not run yet stay, and go behind the
  others. Returns how many were forgotten.

  KEYS  ended
]]
-- @include final
-- @include forget
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
