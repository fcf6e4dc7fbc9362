--[[ to_waiting: put a job among the waiting of its group, behind those of its priority, or with `front` before them, or
  where its `score` says that it was before.

  The caller writes the job's state. The score is exact: 12 bits of priority, then 41 bits around 2^40 for the sequence,
  53 in all.

  KEYS  waiting waiting_of counters
]]
-- @include place_group
local function to_waiting(id, job, front, score)
  local group = job.rare.group
  if not score then
    local sequence = redis.call("HINCRBY", counters, "sequence", 1)
    score = job.priority * 2199023255552 + 1099511627776 + (front and -sequence or sequence)
  end
  if group then
    redis.call("ZADD", waiting_of .. group, score, id)
    redis.call("HINCRBY", counters, "grouped", 1)
    place_group(group)
  else
    redis.call("ZADD", waiting, score, id)
  end
end
