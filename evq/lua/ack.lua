--[[ ack: complete jobs, provided the caller still holds their leases.

  Success that comes here first wins over a cancel that was only requested.

  KEYS     job_of
  ARGV     keep_ms  int  how long an ended job is kept
  EACH     id       str
           fence    int
           result   str  JSON
  RETURNS  a word a job: OK, REPEATED, STALE
  STATE    active -> completed
]]
-- @include now
-- @include check_lease
-- @include end_job
-- @include emit
local time = now()
local words, ended_now = {}, {}

for id, fence, result in each() do
  local word = check_lease(id, fence)
  if word == "OK" then
    end_job(id, "completed", time, keep_ms)
    redis.call("HSET", job_of .. id, "result", result, "settled", fence)
    ended_now[#ended_now + 1] = id
  end
  words[#words + 1] = word
end

emit("completed", ended_now)
return words
