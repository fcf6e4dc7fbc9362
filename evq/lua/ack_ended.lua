--[[ ack_ended: hooks have been told; from now on a job that has ended may expire.

  KEYS     job_of ended
  ARGV     keep_ms  int  how long an ended job is kept
  EACH     member   str  what `reserve_ended` gave
           seq      int  the job's, when its hooks were run
  RETURNS  nothing
]]
for member, seq in each() do
  local key = job_of .. string.match(member, "^[^:]*")
  if string.find(member, ":") then
    redis.call("ZREM", ended, member)
    redis.call("HDEL", key, "hook_runs")
  -- A job that was replayed meanwhile lives on, and its next end has hooks of its own.
  elseif tonumber(redis.call("HGET", key, "seq")) == seq then
    redis.call("ZREM", ended, member)
    redis.call("PEXPIRE", key, keep_ms)
  end
end
return false
