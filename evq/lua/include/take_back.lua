--[[ take_back: take an active job from a worker, or a process, that was lost with it.

  It goes in front, since it has waited its turn before. One that has been lost `most` times in 72 h is poison.

  KEYS  job_of
]]
-- @include leave_active
-- @include end_job
-- @include lateness
-- @include to_waiting
-- @include tally
local function take_back(id, job, time, keep_ms, most)
  local key, crashes = job_of .. id, { time }
  leave_active(id, job)
  local crashed, count = unpack(redis.call("HMGET", key, "crashed", "crashes"))
  for crash in string.gmatch(crashed or "", "%d+") do
    if tonumber(crash) > time - 259200000 and #crashes < 10 then
      crashes[#crashes + 1] = crash
    end
  end
  redis.call("HSET", key, "crashed", table.concat(crashes, " "), "crashes", (tonumber(count) or 0) + 1)
  tally("reclaimed", 1)
  local late = lateness(job, time)
  if job.cancel then
    end_job(id, job, "cancelled", time, keep_ms)
  elseif #crashes >= most then
    local message = "its worker, or its process, was lost with it " .. #crashes .. " times in 72 h"
    end_job(id, job, "failed", time, keep_ms, "error", '{"type":"Poison","message":"' .. message .. '","traceback":""}')
  elseif late then
    end_job(id, job, "failed", time, keep_ms, "error", late)
  else
    redis.call("HSET", key, "state", "waiting", "seq", job.seq + 1, "due", time)
    to_waiting(id, job.options.group, true)
    return true
  end
end
