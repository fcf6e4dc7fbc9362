--[[ watch: ask to be told when a job ends, unless it has ended already.

  KEYS     waiters_of
  ARGV     id      str
           waiter  str
           ttl_ms  int  forget the waiter after so long
  RETURNS  WATCHING, ENDED, NOT_FOUND
]]
-- @include records
local job = read_job(id)
if not job then
  return "NOT_FOUND"
elseif job.state == "completed" or job.state == "failed" or job.state == "cancelled" then
  return "ENDED"
end
redis.call("SREM", waiters_of .. id, waiter) -- a removal first, so that a full Redis lets results be awaited
redis.call("SADD", waiters_of .. id, waiter)
redis.call("PEXPIRE", waiters_of .. id, ttl_ms)
job.rare.watched = true
save_job(id, job)
save_jobs()
return "WATCHING"
