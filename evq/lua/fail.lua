--[[ fail: end jobs without success, provided the caller still holds their leases; no attempt is left, or none may help.

  KEYS     job_of
  ARGV     keep_ms  int  how long an ended job is kept
  EACH     id       str
           fence    int
           error    str  JSON
  RETURNS  a word a job: OK, REPEATED, STALE
  STATE    active -> failed, active -> cancelled
]]
-- @include now
-- @include check_lease
-- @include end_job
-- @include emit
local time = now()
local words, failed_now, cancelled_now = {}, {}, {}

for id, fence, error in each() do
  local word = check_lease(id, fence)
  if word == "OK" then
    local cancel = redis.call("HEXISTS", job_of .. id, "cancel") == 1
    end_job(id, cancel and "cancelled" or "failed", time, keep_ms)
    redis.call("HINCRBY", job_of .. id, "failures", 1)
    redis.call("HSET", job_of .. id, "error", error, "settled", fence)
    local list = cancel and cancelled_now or failed_now
    list[#list + 1] = id
  end
  words[#words + 1] = word
end

emit("failed", failed_now)
emit("cancelled", cancelled_now)
return words
