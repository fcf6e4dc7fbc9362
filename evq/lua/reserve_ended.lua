--[[ reserve_ended: take ended jobs whose hooks are to be run; they come again after the lease unless acked.

  KEYS     job_of ended
  ARGV     count     int
           lease_ms  int
  EACH     task      str  known to the worker
  RETURNS  job ids
]]
-- @include now
local time = now()
local known, ids = {}, {}
for task in each() do
  known[task] = true
end

for _, id in ipairs(redis.call("ZRANGEBYSCORE", ended, "-inf", time, "LIMIT", 0, count)) do
  local task = redis.call("HGET", job_of .. id, "task")
  redis.call("ZREM", ended, id)
  if known[task] then
    redis.call("ZADD", ended, time + lease_ms, id)
    ids[#ids + 1] = id
  elseif task then
    -- Left for a worker that knows it, which may come at once; but behind the others, so that it keeps none of them.
    redis.call("ZADD", ended, time, id)
  end
end
return ids
