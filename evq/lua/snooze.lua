--[[ snooze: hand jobs back without counting an attempt, provided the caller still holds their leases.

  Without a delay they go in front: their worker stops, and the next one takes them at once.

  KEYS     job_of active delayed
  ARGV     keep_ms   int  how long an ended job is kept
  EACH     id        str
           fence     int
           delay_ms  int  0: now
  RETURNS  a word a job: OK, REPEATED, STALE
  STATE    active -> waiting, active -> delayed, active -> cancelled
]]
-- @include now
-- @include check_lease
-- @include end_job
-- @include to_waiting
-- @include wake_workers
-- @include emit
local time = now()
local words, snoozed, in_front, cancelled_now = {}, {}, {}, {}

for id, fence, delay_ms in each() do
  local word, key = check_lease(id, fence), job_of .. id
  if word == "OK" then
    redis.call("ZREM", active, id)
    if redis.call("HEXISTS", key, "cancel") == 1 then
      end_job(id, "cancelled", time, keep_ms)
      cancelled_now[#cancelled_now + 1] = id
    elseif delay_ms > 0 then
      redis.call("ZADD", delayed, time + delay_ms, id)
      redis.call("HSET", key, "state", "delayed", "due", time + delay_ms)
      snoozed[#snoozed + 1] = id
    else
      in_front[#in_front + 1] = id
      snoozed[#snoozed + 1] = id
    end
    redis.call("HINCRBY", key, "seq", 1)
    redis.call("HSET", key, "settled", fence)
  end
  words[#words + 1] = word
end

-- Each goes before those that are in front, so the first comes last.
for i = #in_front, 1, -1 do
  to_waiting(in_front[i], tonumber(redis.call("HGET", job_of .. in_front[i], "priority")), true)
end
wake_workers(#snoozed)
emit("snoozed", snoozed)
emit("cancelled", cancelled_now)
return words
