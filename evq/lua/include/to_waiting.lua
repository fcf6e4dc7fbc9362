--[[ to_waiting: put a job among the waiting of its group, behind those of its priority, or with `front` before them, or
  where its `score` says that it was before. The caller writes the job's state.

  KEYS  waiting
]]
-- @include places
-- @include wait_in_group
local function to_waiting(id, job, front, score)
  local group = job.rare.group
  score = score or score_of(job.priority, take_places(1), front)
  if group then
    wait_in_group(group, id, score)
  else
    redis.call("ZADD", waiting, score, id)
  end
end
