--[[ unpark: let parked jobs wait again where they did, since a worker has come that knows their task. Returns whether
  there are more of them.

  KEYS  parked_of parked_tasks
]]
-- @include records
-- @include to_waiting
local function unpark(known, limit)
  local more = false
  for task in pairs(known) do
    if redis.call("SISMEMBER", parked_tasks, task) == 1 then
      local popped = redis.call("ZPOPMIN", parked_of .. task, limit)
      for i = 1, #popped, 2 do
        local id, score = popped[i], popped[i + 1]
        local job = read_job(id)
        if job and job.state == "parked" then
          job.state, job.seq = "waiting", job.seq + 1
          save_job(id, job)
          to_waiting(id, job, false, score)
        end
      end
      if redis.call("EXISTS", parked_of .. task) == 0 then
        redis.call("SREM", parked_tasks, task)
      else
        more = true
      end
    end
  end
  return more
end
