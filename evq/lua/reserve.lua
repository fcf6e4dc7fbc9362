--[[ reserve: lease jobs to a worker, the most urgent first, oldest first among equals.

  A job of a task that the worker does not know is parked, until a worker comes that knows it.

  KEYS     job_of waiting active parked_of parked_tasks progress_of
  ARGV     worker    str
           count     int  at most so many
           lease_ms  int
           keep_ms   int  how long an ended job is kept
  EACH     task      str  known to the worker
  RETURNS  {wait_ms, parked ids, their tasks, job, ...}; wait_ms is 0 if more is waiting, else as `next_due` says;
           a job is {id, task, payload, fence, failures, created, progress or false}
  STATE    waiting -> active, parked -> active, waiting -> parked
]]
-- @include now
-- @include reclaim_expired
-- @include promote_due
-- @include next_due
-- @include wake_workers
-- @include emit
local time = now()
reclaim_expired(time, 8, keep_ms)
promote_due(time, 128)

local known, jobs, leased, parked, strange = {}, {}, {}, {}, {}
for task in each() do
  known[task] = true
end

local function lease(id, task, payload)
  local key = job_of .. id
  local fence = redis.call("HINCRBY", key, "fence", 1)
  local failures, created, seq = unpack(redis.call("HMGET", key, "failures", "created", "seq"))
  redis.call("ZADD", active, time + lease_ms, id)
  redis.call("HSET", key, "state", "active", "worker", worker, "started", time, "seq", (tonumber(seq) or 0) + 1)
  local progress = fence > 1 and redis.call("GET", progress_of .. id)
  jobs[#jobs + 1] = { id, task, payload, fence, tonumber(failures) or 0, tonumber(created), progress }
  leased[#leased + 1] = id
end

local function park(id, task, score)
  redis.call("ZADD", parked_of .. task, score, id)
  redis.call("SADD", parked_tasks, task)
  redis.call("HSET", job_of .. id, "state", "parked")
  redis.call("HINCRBY", job_of .. id, "seq", 1)
  parked[#parked + 1] = id
  strange[#strange + 1] = task
end

local function take(popped)
  for i = 1, #popped, 2 do
    local id, score = popped[i], popped[i + 1]
    local task, payload = unpack(redis.call("HMGET", job_of .. id, "task", "payload"))
    if task and known[task] then
      lease(id, task, payload)
    elseif task then
      park(id, task, score)
    end
  end
end

if redis.call("EXISTS", parked_tasks) == 1 then
  for task in pairs(known) do
    if #jobs < count and redis.call("SISMEMBER", parked_tasks, task) == 1 then
      take(redis.call("ZPOPMIN", parked_of .. task, count - #jobs))
      if redis.call("EXISTS", parked_of .. task) == 0 then
        redis.call("SREM", parked_tasks, task)
      end
    end
  end
end
if #jobs < count then
  take(redis.call("ZPOPMIN", waiting, count - #jobs))
end

emit("reserved", leased)
emit("parked", parked)
wake_workers(#parked)
if redis.call("ZCARD", waiting) > 0 then
  wake_workers(1)
  return { 0, parked, strange, unpack(jobs) }
end
return { next_due(time), parked, strange, unpack(jobs) }
