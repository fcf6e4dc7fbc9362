--[[ to_waiting: put a job among the waiting, behind those of its priority, or with `front` before them.

  The score is exact: 12 bits of priority, then 41 bits around 2^40 for the sequence, 53 in all.

  KEYS  job_of waiting counters
]]
local function to_waiting(id, priority, front)
  local sequence = redis.call("HINCRBY", counters, "sequence", 1)
  if front then
    sequence = -sequence
  end
  redis.call("ZADD", waiting, priority * 2199023255552 + 1099511627776 + sequence, id)
  redis.call("HSET", job_of .. id, "state", "waiting")
end
