--[[ to_waiting: put a job among the waiting of its group, behind those of its priority, or with `front` before them, or
  where its `score` says that it was before. The caller writes the job's state.

  KEYS  waiting waiting_of counters
]]
-- @include places
-- @include place_group
local function to_waiting(id, job, front, score)
  local group = job.rare.group
  score = score or score_of(job, take_places(1), front)
  if group then
    redis.call("ZADD", waiting_of .. group, score, id)
    redis.call("HINCRBY", counters, "grouped", 1)
    place_group(group)
  else
    redis.call("ZADD", waiting, score, id)
  end
end
