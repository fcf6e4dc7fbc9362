--[[ to_waiting: put a job among the waiting of its group, behind those of its priority, or with `front` before them, or
  where its `score` says that it was before.

  The caller writes the job's state. The score is exact: 12 bits of priority, then 41 bits around 2^40 for the place in
  the sequence, 53 in all.

  KEYS  waiting waiting_of counters
]]
-- @include place_group
local function take_places(count)
  return redis.call("HINCRBY", counters, "sequence", count)
end

local function score_of(job, place, front)
  return job.priority * 2199023255552 + 1099511627776 + (front and -place or place)
end

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
