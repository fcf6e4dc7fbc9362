--[[ reserve_ended: take what hooks are to be told; unless acked it comes again after the lease, then after twice as long,
  and so on up to 1 h.

  KEYS     job_of ended
  ARGV     count     int
           lease_ms  int
  EACH     hook      str  that the worker has: a task, a space, and an event
  RETURNS  members: the id of a job that has ended, or id:failures of a retry
]]
-- @include now
local time = now()
local known, members = {}, {}
for hook in each() do
  known[hook] = true
end

for _, member in ipairs(redis.call("ZRANGEBYSCORE", ended, "-inf", time, "LIMIT", 0, count)) do
  local key = job_of .. string.match(member, "^[^:]*")
  local task, state, runs = unpack(redis.pcall("HMGET", key, "task", "state", "hook_runs"))
  local event = string.find(member, ":") and "retried" or state
  runs = (tonumber(runs) or 0) + 1
  redis.call("ZREM", ended, member)
  if task and known[task .. " " .. tostring(event)] then
    redis.call("HSET", key, "hook_runs", runs)
    redis.call("ZADD", ended, time + math.min(lease_ms * 2 ^ (runs - 1), 3600000), member)
    members[#members + 1] = member
  elseif task then
    -- Left for a worker that knows it, which may come at once; but behind the others, so that it keeps none of them.
    redis.call("ZADD", ended, time, member)
  end
end
return members
