--[[ finish: close a call that may have ended jobs: index them, count them, say so, and let the oldest go.

  Each end lets two go that are older, or more, than shall be kept, so that no janitor is needed; those whose hooks have
  not run yet stay, and go behind the others.

  KEYS  completed failed cancelled counters limits
]]
-- @include end_job
-- @include let_go
-- @include tally
-- @include emit
-- @include wake_workers
local final = { completed = completed, failed = failed, cancelled = cancelled }

local function finish(time, keep_ms, keep_count)
  for state, ids in pairs(ends) do
    local scored = {}
    for i, id in ipairs(ids) do
      scored[2 * i - 1], scored[2 * i] = time, id
    end
    redis.call("ZADD", final[state], unpack(scored))
    redis.call("HINCRBY", counters, state, #ids)
    tally(state, #ids)
    emit(state, ids)
    local index = final[state]
    local old = redis.call("ZCOUNT", index, "-inf", time - keep_ms)
    local excess = math.min(math.max(old, redis.call("ZCARD", index) - keep_count), 2 * #ids)
    if excess > 0 then
      let_go(index, redis.call("ZRANGE", index, 0, excess - 1), state, time)
    end
    if redis.call("HEXISTS", limits, "concurrency") == 1 then
      wake_workers(#ids)
    end
  end
  write_tally(time)
end
