--[[ end_job: bring a job to its final state, and let everyone know who must: hooks and waiters.

  A job whose task has hooks goes on the `ended` list and is kept until they have run; any other expires by itself.

  KEYS  job_of active completed failed cancelled ended hooked_tasks progress_of waiters_of waiter_of counters
]]
-- @include wake_workers
local final = { completed = completed, failed = failed, cancelled = cancelled }

local function tell_waiters(id)
  for _, waiter in ipairs(redis.call("SMEMBERS", waiters_of .. id)) do
    redis.call("RPUSH", waiter_of .. waiter, id)
    redis.call("PEXPIRE", waiter_of .. waiter, 60000)
  end
  redis.call("DEL", waiters_of .. id)
end

local function end_job(id, state, time, keep_ms)
  local key = job_of .. id
  redis.call("ZREM", active, id)
  redis.call("HSET", key, "state", state, "ended", time)
  redis.call("HINCRBY", key, "seq", 1)
  redis.call("ZADD", final[state], time, id)
  redis.call("HINCRBY", counters, state, 1)
  redis.call("PEXPIRE", progress_of .. id, 3600000)
  if redis.call("SISMEMBER", hooked_tasks, redis.call("HGET", key, "task")) == 1 then
    redis.call("ZADD", ended, 0, id)
    wake_workers(1)
  else
    redis.call("PEXPIRE", key, keep_ms)
  end
  tell_waiters(id)
  -- Each end takes two expired ids out of the index, so that it shrinks without a janitor.
  local expired = redis.call("ZRANGEBYSCORE", final[state], "-inf", time - keep_ms, "LIMIT", 0, 2)
  if #expired > 0 then
    redis.call("ZREM", final[state], unpack(expired))
  end
end
