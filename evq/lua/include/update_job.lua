--[[ update_job: give a pending job another payload, the one that came with the same dedup key.

  `replace` leaves the job in its place; `debounce` starts its times anew.

  KEYS  delayed deadlines payloads
]]
-- @include records
-- @include withdraw
-- @include read_times
-- @include place_deadline
local function update_job(id, job, payload, options, time)
  job.payload = job.payload and #payload <= 1024 and payload or nil -- once it is beside the record, its successors are
  if not job.payload then
    redis.call("HSET", payloads, id, payload)
  end
  job.seq = job.seq + 1
  if options.dedup_mode == "debounce" then
    local due, expires, deadline = read_times(options, time)
    redis.call("ZADD", delayed, due, id) -- first, so that a full Redis refuses it
    if job.state ~= "delayed" then
      withdraw(id, job)
    end
    redis.call("ZREM", deadlines, id)
    job.state, job.due, job.rare.deadline = "delayed", due, deadline
    job.rare.expires = job.fence == 0 and expires or nil -- else it has started before
    place_deadline(id, job.rare.expires, deadline)
  end
  save_job(id, job)
end
