--[[ join: one beat of a worker pool: it is alive, and can run so many workers. Pools that went silent are forgotten.

  KEYS     pools pool_capacity wanted
  ARGV     pool       str
           capacity   int  how many workers it can run
           processes  int  how many it runs as long as nobody has said how many are wanted
           ttl_ms     int  how long it counts as alive; 0: it leaves
  RETURNS  {how many workers are wanted of all pools or -1, pool, "capacity processes", ...}
]]
-- @include now
local time = now()
redis.call("ZREM", pools, pool) -- a removal first, so that a full Redis lets pools go on
redis.call("ZADD", pools, time + ttl_ms, pool)
redis.call("HSET", pool_capacity, pool, capacity .. " " .. processes)
for _, silent in ipairs(redis.call("ZRANGEBYSCORE", pools, "-inf", time)) do
  redis.call("ZREM", pools, silent)
  redis.call("HDEL", pool_capacity, silent)
end
return { tonumber(redis.call("GET", wanted)) or -1, unpack(redis.call("HGETALL", pool_capacity)) }
