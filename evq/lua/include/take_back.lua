--[[ take_back: take an active job from a worker, or a process, that was lost with it. Returns whether it will run again.

  It goes in front, since it has waited its turn before. One that has been lost `most` times in 72 h is poison.
]]
-- @include records
-- @include leave_active
-- @include end_job
-- @include lateness
-- @include to_waiting
-- @include tally
local function take_back(id, job, time, most)
  local rare, crashes = job.rare, { time }
  leave_active({ id })
  for crash in string.gmatch(rare.crashed or "", "%d+") do
    if tonumber(crash) > time - 259200000 and #crashes < 10 then
      crashes[#crashes + 1] = crash
    end
  end
  rare.crashed, rare.crashes = table.concat(crashes, " "), (rare.crashes or 0) + 1
  tally("reclaimed", 1)
  local late = lateness(job, time)
  if rare.cancel then
    end_job(id, job, "cancelled", time)
  elseif #crashes >= most then
    local message = "its worker, or its process, was lost with it " .. #crashes .. " times in 72 h"
    job.error = '{"type":"Poison","message":"' .. message .. '","traceback":""}'
    end_job(id, job, "failed", time)
  elseif late then
    job.error = late
    end_job(id, job, "failed", time)
  else
    job.state, job.seq, job.due = "waiting", job.seq + 1, time
    save_job(id, job)
    to_waiting(id, job, true)
    return true
  end
end
