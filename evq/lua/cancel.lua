--[[ cancel: end a pending job now, or ask for a running one to stop.

  A running job's worker is told at once, and learns of it with its next heartbeat at the latest. Whatever the handler
  does then, the job is not retried.

  KEYS     job_of waiting delayed parked_of waiter_of
  ARGV     id       str
           keep_ms  int  how long an ended job is kept
  RETURNS  CANCELLED, REQUESTED, ENDED, NOT_FOUND
  STATE    waiting -> cancelled, delayed -> cancelled, parked -> cancelled, active -> active
]]
-- @include now
-- @include end_job
-- @include emit
local key = job_of .. id
local state, task, worker = unpack(redis.call("HMGET", key, "state", "task", "worker"))

if not state then
  return "NOT_FOUND"
elseif state == "active" then
  redis.call("HDEL", key, "cancel") -- a removal first, so that a full Redis takes it
  redis.call("HSET", key, "cancel", 1)
  redis.call("HINCRBY", key, "seq", 1)
  redis.call("RPUSH", waiter_of .. worker .. ".heart", id)
  redis.call("PEXPIRE", waiter_of .. worker .. ".heart", 60000)
  emit("cancel-requested", { id })
  return "REQUESTED"
elseif state == "waiting" then
  redis.call("ZREM", waiting, id)
elseif state == "delayed" then
  redis.call("ZREM", delayed, id)
elseif state == "parked" then
  redis.call("ZREM", parked_of .. task, id)
else
  return "ENDED"
end
end_job(id, "cancelled", now(), keep_ms)
emit("cancelled", { id })
return "CANCELLED"
