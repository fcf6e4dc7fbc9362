--[[ replay: let failed or cancelled jobs wait for a worker again, with all their attempts and without their deadlines.

  KEYS     failed cancelled ended progress_of dedup_of
  EACH     id  str
  RETURNS  a word a job: OK, NOT_ENDED, COMPLETED, NOT_FOUND, DUPLICATE (another holds its dedup key)
  STATE    failed -> waiting, cancelled -> waiting
]]
-- @include now
-- @include records
-- @include to_waiting
-- @include wake_workers
-- @include emit
local time, words, replayed = now(), {}, {}

local function replay(id, job)
  local group, dedup = job.rare.group, job.rare.dedup
  if dedup and not redis.call("SET", dedup_of .. dedup, id, "NX") then
    return "DUPLICATE"
  end
  redis.call("ZREM", job.state == "failed" and failed or cancelled, id)
  redis.call("ZREM", ended, id)
  job.state, job.seq, job.due, job.failures, job.error, job.ended = "waiting", job.seq + 1, time, 0, nil, nil
  job.rare = { group = group, dedup = dedup, crashes = job.rare.crashes }
  save_job(id, job)
  redis.call("DEL", progress_of .. id)
  to_waiting(id, job)
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
save_jobs()
return words
