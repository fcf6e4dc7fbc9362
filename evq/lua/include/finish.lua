--[[ finish: close a call that may have ended jobs: index them, count them, say so, let the oldest go, and save what has
  changed.

  Each end lets two go that are older, or more, than shall be kept, so that a busy queue needs no janitor.

  KEYS  counters limits
]]
-- @include records
-- @include ends
-- @include tally
-- @include emit
local function finish(time, keep_ms, keep_count)
  for state, ids in pairs(ends) do
    -- @include final
    -- @include let_old_go
    local scored, ended_ms = {}, string.format("%d", time) -- once: Redis is slow at making text of a number
    for i, id in ipairs(ids) do
      scored[2 * i - 1], scored[2 * i] = ended_ms, id
    end
    redis.call("ZADD", final[state], unpack(scored))
    redis.call("HINCRBY", counters, state, #ids)
    tally(state, #ids)
    emit(state, ids)
    let_old_go(state, 2 * #ids, time, keep_ms, keep_count)
    if redis.call("HEXISTS", limits, "concurrency") == 1 then
      -- @include wake_workers
      wake_workers(#ids)
    end
  end
  write_tally(time)
  save_jobs()
end
