--[[ finish: close a call that may have ended jobs: index them, count them, say so, and let the oldest go.

  Each end takes two out of the index that have expired, or are more than shall be kept, so that it shrinks without a
  janitor; those whose hooks have not run yet stay.

  KEYS  completed failed cancelled ended counters limits
]]
-- @include end_job
-- @include forget
-- @include tally
-- @include emit
-- @include wake_workers
local final = { completed = completed, failed = failed, cancelled = cancelled }

local function let_go(state, time, keep_ms, keep_count, most)
  local set = final[state]
  for _, id in ipairs(redis.call("ZRANGEBYSCORE", set, "-inf", time - keep_ms, "LIMIT", 0, most)) do
    redis.call("ZREM", set, id)
  end
  local excess = math.min(redis.call("ZCARD", set) - keep_count, most)
  for _, id in ipairs(excess > 0 and redis.call("ZRANGE", set, 0, excess - 1) or {}) do
    if not redis.call("ZSCORE", ended, id) then
      redis.call("ZREM", set, id)
      forget(id, state)
    end
  end
end

local function finish(time, keep_ms, keep_count)
  for state, ids in pairs(ends) do
    for _, id in ipairs(ids) do
      redis.call("ZADD", final[state], time, id)
    end
    redis.call("HINCRBY", counters, state, #ids)
    tally(state, #ids)
    emit(state, ids)
    let_go(state, time, keep_ms, keep_count, 2 * #ids)
    if redis.call("HEXISTS", limits, "concurrency") == 1 then
      wake_workers(#ids)
    end
  end
  write_tally(time)
end
