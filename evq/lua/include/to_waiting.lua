--[[ to_waiting: put a job among the waiting of its group, behind those of its priority, or with `front` before them, or
  where its `score` says that it was before.

  The caller writes the job's state. The score is exact: 12 bits of priority, then 41 bits around 2^40 for the sequence,
  53 in all.

  KEYS  job_of waiting waiting_of counters
]]
-- @include place_group
local function to_waiting(id, group, front, score)
  if not score then
    local priority = tonumber(redis.call("HGET", job_of .. id, "priority")) or 2048
    local sequence = redis.call("HINCRBY", counters, "sequence", 1)
    score = priority * 2199023255552 + 1099511627776 + (front and -sequence or sequence)
  end
  if group then
    redis.call("ZADD", waiting_of .. group, score, id)
    redis.call("HINCRBY", counters, "grouped", 1)
    place_group(group)
  else
    redis.call("ZADD", waiting, score, id)
  end
end
