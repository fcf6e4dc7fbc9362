--[[ ack_ended: hooks have been told; from now on a job that has ended may be forgotten.

  KEYS     ended
  EACH     member   str  what `reserve_ended` gave
           seq      int  the job's, when its hooks were run
  RETURNS  nothing
]]
-- @include records
for member, seq in each() do
  local id = string.match(member, "^[^:]*")
  local job = read_job(id)
  if member ~= id then
    redis.call("ZREM", ended, member)
    if job then
      job.rare.hook_runs = nil
      save_job(id, job)
    end
  -- A job that was replayed meanwhile lives on, and its next end has hooks of its own.
  elseif job and job.seq == seq then
    redis.call("ZREM", ended, member)
  end
end
save_jobs()
return false
