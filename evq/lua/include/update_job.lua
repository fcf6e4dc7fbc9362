--[[ update_job: give a pending job another payload, the one that came with the same dedup key.

  `replace` leaves the job in its place; `debounce` starts its delay anew.

  KEYS  job_of delayed
]]
-- @include withdraw
local function update_job(id, job, payload, options, time)
  redis.call("HSET", job_of .. id, "payload", payload, "seq", job.seq + 1)
  if options.dedup_mode == "debounce" then
    local due = math.max(options.at or 0, time + (options.delay or 0))
    withdraw(id, job)
    redis.call("HSET", job_of .. id, "due", due, "state", "delayed")
    redis.call("ZADD", delayed, due, id)
  end
end
