--[[ extend: one heartbeat of a worker: it is alive, and its leases run on.

  KEYS     job_of active workers
  ARGV     worker    str
           lease_ms  int
  EACH     id        str
           fence     int
  RETURNS  a word a job: OK, CANCEL (somebody asked for it), REPEATED, STALE
  STATE    active -> active
]]
-- @include now
-- @include check_lease
local time = now()
local words = {}

-- A removal first, so that a full Redis lets hearts beat.
redis.call("ZREMRANGEBYSCORE", workers, "-inf", time)
redis.call("ZADD", workers, time + lease_ms, worker)

for id, fence in each() do
  local word = check_lease(id, fence)
  if word == "OK" then
    redis.call("ZADD", active, "XX", time + lease_ms, id)
    if redis.call("HEXISTS", job_of .. id, "cancel") == 1 then
      word = "CANCEL"
    end
  end
  words[#words + 1] = word
end
return words
