--[[ ack_ended: the hooks of ended jobs have run; from now on the jobs may expire.

  KEYS     job_of ended
  ARGV     keep_ms  int  how long an ended job is kept
  EACH     id       str
           seq      int  the job's, when its hooks were run
  RETURNS  nothing
]]
for id, seq in each() do
  -- One that was replayed meanwhile lives on, and its next end has hooks of its own.
  if tonumber(redis.call("HGET", job_of .. id, "seq")) == seq then
    redis.call("ZREM", ended, id)
    redis.call("PEXPIRE", job_of .. id, keep_ms)
  end
end
return false
