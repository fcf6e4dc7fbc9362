--[[ lease_job: give a job that was just taken from the waiting to the worker, or park it, or end it if it is too late.

  KEYS  deadlines parked_of parked_tasks progress_of payloads
]]
-- @include records
-- @include tally
local jobs, leased, parked, strange, bytes = {}, {}, {}, {}, 0

local function lease_job(id, score, known, worker, time)
  local job = read_job(id)
  if not job or job.state ~= "waiting" then
    return
  end
  local rare, left = job.rare, -1
  if rare.expires or rare.deadline then
    -- @include lateness
    local late = lateness(job, time)
    if late then
      -- @include end_job
      job.error = late
      end_job(id, job, "failed", time)
      return
    end
  end
  if not known[job.task] then
    redis.call("ZADD", parked_of .. job.task, score, id)
    redis.call("SADD", parked_tasks, job.task)
    job.state, job.seq = "parked", job.seq + 1
    save_job(id, job)
    parked[#parked + 1], strange[#strange + 1] = id, job.task
    return
  end
  local payload = job.payload or redis.call("HGET", payloads, id)
  local progress = rare.progressed and redis.call("GET", progress_of .. id) or false
  if rare.crashed then
    rare.isolated = known[job.task] == 1 and string.find(rare.crashed, " ") and true or nil
  end
  if rare.deadline then
    left = rare.deadline - time
    redis.call("ZADD", deadlines, rare.deadline, id)
  elseif rare.expires then
    redis.call("ZREM", deadlines, id)
  end
  tally_time("wait", time - math.max(job.created, job.due or 0))
  -- A time, so that no fence comes twice even if Redis has lost its last writes and gives out this lease anew.
  job.fence = math.max(job.fence + 1, time)
  job.state, job.worker, job.started, job.seq = "active", worker, time, job.seq + 1
  save_job(id, job)
  leased[#leased + 1], bytes = id, bytes + #(payload or "")
  jobs[#jobs + 1] =
    { id, job.task, payload, job.fence, job.failures, job.created, progress, left, rare.isolated and 1 or 0 }
end
