--[[ extend: one heartbeat of a worker: it is alive, says how it is, and its leases run on.

  KEYS     active workers worker_of metrics_of counters
  ARGV     worker       str
           lease_ms     int
           info         str  JSON
           busy_ms      int  how long its places have been taken, since the last heartbeat
           capacity_ms  int  how long they have been there
           cpu_ms       int  processor time of its process
           rss          int  bytes
  EACH     id           str
           fence        int
  RETURNS  a word a job: OK, CANCEL (somebody asked for it), REPEATED, STALE
  STATE    active -> active
]]
-- @include now
-- @include records
-- @include each_lease
-- @include tally
local time = now()

-- A removal first, so that a full Redis lets hearts beat.
redis.call("ZREMRANGEBYSCORE", workers, "-inf", time)
if redis.call("EXISTS", workers) == 0 then
  redis.call("HSET", counters, "held", time + math.min(math.floor(lease_ms / 2), 8000))
end
redis.call("ZADD", workers, time + lease_ms, worker)
redis.call("SET", worker_of .. worker, info, "PX", lease_ms)

read_jobs(firsts())
local words = each_lease(function(id, job, fence)
  redis.call("ZADD", active, "XX", time + lease_ms, id)
  return job.rare.cancel and "CANCEL"
end)

tally("busy_ms", busy_ms)
tally("capacity_ms", capacity_ms)
tally("cpu_ms", cpu_ms)
local minute = metrics_of .. math.floor(time / 60000)
tally("rss", math.max(0, rss - tonumber(redis.call("HGET", minute, "rss") or 0))) -- the greatest of the minute
write_tally(time)
return words
