--[[ replay: let a failed or cancelled job wait for a worker again, with all its attempts.

  KEYS     job_of failed cancelled ended progress_of
  ARGV     id  str
  RETURNS  OK, NOT_ENDED, COMPLETED, NOT_FOUND
  STATE    failed -> waiting, cancelled -> waiting
]]
-- @include to_waiting
-- @include wake_workers
-- @include emit
local key = job_of .. id
local state, priority = unpack(redis.call("HMGET", key, "state", "priority"))

if not state then
  return "NOT_FOUND"
elseif state == "completed" then
  return "COMPLETED"
elseif state ~= "failed" and state ~= "cancelled" then
  return "NOT_ENDED"
end
redis.call("ZREM", state == "failed" and failed or cancelled, id)
redis.call("ZREM", ended, id)
redis.call("HDEL", key, "failures", "error", "cancel", "ended", "settled", "due")
redis.call("PERSIST", key)
redis.call("DEL", progress_of .. id)
redis.call("HINCRBY", key, "seq", 1)
to_waiting(id, tonumber(priority), false)
wake_workers(1)
emit("replayed", { id })
return "OK"
