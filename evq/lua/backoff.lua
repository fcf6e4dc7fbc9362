--[[ backoff: let jobs be tried again after a delay, provided the caller still holds their leases.

  The delay is the client's: Redis seeds Lua's random numbers the same way each time, so there is no jitter in here.

  KEYS     job_of active delayed
  ARGV     keep_ms   int  how long an ended job is kept
  EACH     id        str
           fence     int
           delay_ms  int
           error     str  JSON
  RETURNS  a word a job: OK, REPEATED, STALE
  STATE    active -> delayed, active -> cancelled
]]
-- @include now
-- @include check_lease
-- @include end_job
-- @include wake_workers
-- @include emit
local time = now()
local words, retried, cancelled_now = {}, {}, {}

for id, fence, delay_ms, error in each() do
  local word, key = check_lease(id, fence), job_of .. id
  if word == "OK" then
    if redis.call("HEXISTS", key, "cancel") == 1 then
      end_job(id, "cancelled", time, keep_ms)
      cancelled_now[#cancelled_now + 1] = id
    else
      redis.call("ZREM", active, id)
      redis.call("ZADD", delayed, time + delay_ms, id)
      redis.call("HSET", key, "state", "delayed", "due", time + delay_ms)
      redis.call("HINCRBY", key, "seq", 1)
      retried[#retried + 1] = id
    end
    redis.call("HINCRBY", key, "failures", 1)
    redis.call("HSET", key, "error", error, "settled", fence)
  end
  words[#words + 1] = word
end

-- A sleeper must learn of the new due time.
wake_workers(math.min(#retried, 1))
emit("retried", retried)
emit("cancelled", cancelled_now)
return words
