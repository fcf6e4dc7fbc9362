--[[ cancel: end pending jobs now, or ask for running ones to stop.

  A running job's worker is told at once, and learns of it with its next heartbeat at the latest. Whatever the handler
  does then, the job is not retried.

  KEYS     job_of waiter_of
  ARGV     running     int  0: those that run go on
           keep_ms     int  how long an ended job is kept
           keep_count  int  how many ended jobs are kept
  EACH     id          str
  RETURNS  a word a job: CANCELLED, REQUESTED, ACTIVE (it goes on), ENDED, NOT_FOUND
  STATE    waiting -> cancelled, delayed -> cancelled, parked -> cancelled, active -> active, staged -> staged
]]
-- @include now
-- @include read_job
-- @include withdraw
-- @include end_job
-- @include finish
-- @include emit
local time, words, requested = now(), {}, {}

local function request(id, job)
  local key = job_of .. id
  redis.call("HDEL", key, "cancel") -- a removal first, so that a full Redis takes it
  redis.call("HSET", key, "cancel", 1, "seq", job.seq + 1)
  requested[#requested + 1] = id
  local worker = redis.call("HGET", key, "worker")
  if worker then
    redis.call("DEL", waiter_of .. worker .. ".heart") -- one word is enough: the heart asks about all its leases
    redis.call("RPUSH", waiter_of .. worker .. ".heart", id)
    redis.call("PEXPIRE", waiter_of .. worker .. ".heart", 60000)
  end
  return "REQUESTED"
end

for id in each() do
  local job, word = read_job(id), "NOT_FOUND"
  if job and withdraw(id, job) then
    word = "CANCELLED"
    end_job(id, job, "cancelled", time, keep_ms)
  elseif job and job.state == "active" and running == 0 then
    word = "ACTIVE"
  elseif job then
    word = (job.state == "active" or job.state == "staged") and request(id, job) or "ENDED"
  end
  words[#words + 1] = word
end
emit("cancel-requested", requested)
finish(time, keep_ms, keep_count)
return words
