--[[ replay: let failed or cancelled jobs wait for a worker again, with all their attempts and without their deadlines.

  KEYS     job_of failed cancelled ended progress_of dedup_of
  EACH     id  str
  RETURNS  a word a job: OK, NOT_ENDED, COMPLETED, NOT_FOUND, DUPLICATE (another holds its dedup key)
  STATE    failed -> waiting, cancelled -> waiting
]]
-- @include now
-- @include read_job
-- @include to_waiting
-- @include wake_workers
-- @include emit
local time, words, replayed = now(), {}, {}

local function replay(id, job)
  local key, options = job_of .. id, job.options
  if options.dedup and not redis.call("SET", dedup_of .. options.dedup, id, "NX") then
    return "DUPLICATE"
  end
  redis.call("ZREM", job.state == "failed" and failed or cancelled, id)
  redis.call("ZREM", ended, id)
  redis.call("HDEL", key, "failures", "error", "cancel", "ended", "settled", "crashed", "isolated", "options", "hook_runs")
  if options.group or options.dedup then
    redis.call("HSET", key, "options", cjson.encode({ group = options.group, dedup = options.dedup }))
  end
  redis.call("HSET", key, "state", "waiting", "seq", job.seq + 1, "due", time)
  redis.call("PERSIST", key)
  redis.call("DEL", progress_of .. id)
  to_waiting(id, options.group, false)
  replayed[#replayed + 1] = id
  return "OK"
end

for id in each() do
  local job, word = read_job(id), "NOT_ENDED"
  if not job then
    word = "NOT_FOUND"
  elseif job.state == "completed" then
    word = "COMPLETED"
  elseif job.state == "failed" or job.state == "cancelled" then
    word = replay(id, job)
  end
  words[#words + 1] = word
end
wake_workers(#replayed)
emit("replayed", replayed)
return words
