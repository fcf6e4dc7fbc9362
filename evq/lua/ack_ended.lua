--[[ ack_ended: the hooks of ended jobs have run; from now on the jobs may expire.

  KEYS     job_of ended
  ARGV     keep_ms  int  how long an ended job is kept
  EACH     id       str
  RETURNS  nothing
]]
for id in each() do
  redis.call("ZREM", ended, id)
  -- One that was replayed meanwhile lives on.
  if redis.call("HEXISTS", job_of .. id, "ended") == 1 then
    redis.call("PEXPIRE", job_of .. id, keep_ms)
  end
end
return false
