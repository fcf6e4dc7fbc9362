--[[ cancel: end pending jobs now, or ask for running ones to stop.

  A running job's worker is told at once, and learns of it with its next heartbeat at the latest. Whatever the handler
  does then, the job is not retried.

  KEYS     records waiter_of
  ARGV     running     int  0: those that run go on
           keep_ms     int  how long an ended job is kept
           keep_count  int  how many ended jobs are kept
  EACH     id          str
  RETURNS  a word a job: CANCELLED, REQUESTED, ACTIVE (it goes on), ENDED, NOT_FOUND
  STATE    waiting -> cancelled, delayed -> cancelled, parked -> cancelled, active -> active
]]
-- @include now
-- @include records
-- @include withdraw
-- @include end_job
-- @include finish
-- @include emit
local time, words, requested = now(), {}, {}

local function request(id, job)
  redis.call("HDEL", records, id) -- a removal first, so that a full Redis takes it
  job.rare.cancel, job.seq = true, job.seq + 1
  save_job(id, job)
  requested[#requested + 1] = id
  if job.worker then
    local heart = waiter_of .. job.worker .. ".heart"
    redis.call("DEL", heart) -- one word is enough: the heart asks about all its leases
    redis.call("RPUSH", heart, id)
    redis.call("PEXPIRE", heart, 60000)
  end
  return "REQUESTED"
end

for id in each() do
  local job, word = read_job(id), "NOT_FOUND"
  if job and withdraw(id, job) then
    word = "CANCELLED"
    end_job(id, job, "cancelled", time)
  elseif job and job.state == "active" then
    word = running == 1 and request(id, job) or "ACTIVE"
  elseif job then
    word = "ENDED"
  end
  words[#words + 1] = word
end
emit("cancel-requested", requested)
finish(time, keep_ms, keep_count)
return words
