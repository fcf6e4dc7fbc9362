--[[ reserve_ended: take what hooks are to be told; unless acked it comes again after the lease, then after twice as long,
  and so on up to 1 h.

  KEYS     ended
  ARGV     count     int
           lease_ms  int
  EACH     hook      str  that the worker has: a task, a space, and an event
  RETURNS  members: the id of a job that has ended, or id:failures of a retry
]]
-- @include now
-- @include records
local time = now()
local known, members = {}, {}
for hook in each() do
  known[hook] = true
end

for _, member in ipairs(redis.call("ZRANGEBYSCORE", ended, "-inf", time, "LIMIT", 0, count)) do
  local id = string.match(member, "^[^:]*")
  local job = read_job(id)
  redis.call("ZREM", ended, member)
  if job and known[job.task .. " " .. (id == member and job.state or "retried")] then
    local runs = (job.rare.hook_runs or 0) + 1
    job.rare.hook_runs = runs
    save_job(id, job)
    redis.call("ZADD", ended, time + math.min(lease_ms * 2 ^ (runs - 1), 3600000), member)
    members[#members + 1] = member
  elseif job then
    -- Left for a worker that knows it, which may come at once; but behind the others, so that it keeps none of them.
    redis.call("ZADD", ended, time, member)
  end
end
save_jobs()
return members
