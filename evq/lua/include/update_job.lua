--[[ update_job: give a pending job another payload, the one that came with the same dedup key.

  `replace` leaves the job in its place; `debounce` starts its times anew.

  KEYS  job_of delayed deadlines
]]
-- @include withdraw
-- @include write_job
-- @include place_job
local function update_job(id, job, payload, options, time)
  redis.call("HSET", job_of .. id, "payload", payload, "seq", job.seq + 1)
  if options.dedup_mode == "debounce" then
    local kept, due = keep_options(options, time)
    kept.group = job.options.group
    kept.expires = job.fence == 0 and kept.expires or nil -- else it has started before
    withdraw(id, job)
    redis.call("ZREM", deadlines, id)
    redis.call("HSET", job_of .. id, "due", due, "state", "delayed", "options", cjson.encode(kept))
    place_deadline(id, kept)
    redis.call("ZADD", delayed, due, id)
  end
end
