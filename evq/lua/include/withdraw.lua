--[[ withdraw: take a pending job out of where it waits. Returns false if it is not pending.

  KEYS  waiting waiting_of delayed parked_of parked_tasks counters
]]
-- @include place_group
local function withdraw(id, job)
  local group = job.rare.group
  if job.state == "waiting" and group then
    redis.call("ZREM", waiting_of .. group, id)
    redis.call("HINCRBY", counters, "grouped", -1)
    place_group(group)
  elseif job.state == "waiting" then
    redis.call("ZREM", waiting, id)
  elseif job.state == "delayed" then
    redis.call("ZREM", delayed, id)
  elseif job.state == "parked" then
    redis.call("ZREM", parked_of .. job.task, id)
    if redis.call("EXISTS", parked_of .. job.task) == 0 then
      redis.call("SREM", parked_tasks, job.task)
    end
  else
    return false
  end
  return true
end
