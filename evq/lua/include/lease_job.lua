--[[ lease_job: give a job that was just taken from the waiting to the worker, or park it, or end it if it is too late.

  KEYS  job_of active deadlines parked_of parked_tasks progress_of
]]
-- @include read_job
-- @include lateness
-- @include end_job
-- @include tally
local jobs, leased, parked, strange, bytes = {}, {}, {}, {}, 0

local function lease_job(id, score, known, worker, time, lease_ms, keep_ms)
  local key = job_of .. id
  local job, payload, created, due, crashed = read_job(id, "payload", "created", "due", "crashed")
  local late = job and lateness(job, time)
  if not job or job.state ~= "waiting" then
    return
  elseif late then
    end_job(id, job, "failed", time, keep_ms, "error", late)
    return
  elseif not known[job.task] then
    redis.call("ZADD", parked_of .. job.task, score, id)
    redis.call("SADD", parked_tasks, job.task)
    redis.call("HSET", key, "state", "parked", "seq", job.seq + 1)
    parked[#parked + 1], strange[#strange + 1] = id, job.task
    return
  end
  created = tonumber(created) or time
  -- A time, so that no fence comes twice even if Redis has lost its last writes and gives out this lease anew.
  local fence, isolated, left = math.max(job.fence + 1, time), 0, -1
  redis.call("ZADD", active, time + lease_ms, id)
  redis.call("HSET", key, "state", "active", "worker", worker, "started", time, "seq", job.seq + 1, "fence", fence)
  if crashed then
    isolated = known[job.task] == 1 and string.find(crashed, " ") and 1 or 0
    redis.call(isolated == 1 and "HSET" or "HDEL", key, "isolated", unpack(isolated == 1 and { 1 } or {}))
  end
  if job.options.deadline then
    left = job.options.deadline - time
    redis.call("ZADD", deadlines, job.options.deadline, id)
  elseif job.options.expires then
    redis.call("ZREM", deadlines, id)
  end
  tally_time("wait", time - math.max(created, tonumber(due) or 0))
  local progress = job.fence > 0 and redis.call("GET", progress_of .. id)
  leased[#leased + 1], bytes = id, bytes + #(payload or "")
  jobs[#jobs + 1] = { id, job.task, payload, fence, job.failures, created, progress, left, isolated }
end
