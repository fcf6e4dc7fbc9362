--[[ scale: say how many workers all pools together shall run, and tell the pools.

  KEYS     pools pool_capacity wanted waiter_of
  ARGV     count  int  -1: as many as each pool was started with
           by     int  if not 0: so many more than now, whatever `count` says
  RETURNS  how many the pools will run
]]
local most, started, known = 0, 0, tonumber(redis.call("GET", wanted))
for _, pool in ipairs(redis.call("HVALS", pool_capacity)) do
  local capacity, processes = string.match(pool, "(%d+) (%d+)")
  most, started = most + capacity, started + processes
end
if by ~= 0 then
  -- More may be wanted than can run; one less is one less of those that do.
  count = math.max(0, math.min(known or started, most) + by)
end

redis.call("DEL", wanted) -- a removal first, so that a full Redis can get more workers
if count >= 0 then
  redis.call("SET", wanted, count)
end
for _, pool in ipairs(redis.call("ZRANGE", pools, 0, -1)) do
  redis.call("DEL", waiter_of .. pool)
  redis.call("RPUSH", waiter_of .. pool, "scale")
  redis.call("PEXPIRE", waiter_of .. pool, 60000)
end
return count < 0 and started or math.min(count, most)
