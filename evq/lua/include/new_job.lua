--[[ new_job: make the record of a new job, staged if it belongs to a batch.

  Options that are times are kept as moments.

  KEYS  dedup_of hooked_tasks
]]
-- @include records
-- @include payload
local function read_times(options, time)
  local due = math.max(options.at or 0, time + (options.delay or 0))
  return due, options.expires and time + options.expires, options.deadline and time + options.deadline
end

local function new_job(id, task, payload, options, time, batch)
  local old = read_job(id) -- it was staged by a producer that has begun anew
  local job = { task = task, payload = "", created = time, fence = 0, failures = 0 }
  job.priority = options.priority or 2048
  local due, expires, deadline = read_times(options, time)
  job.state = batch and "staged" or due > time and "delayed" or "waiting"
  job.due = due > time and due or nil
  job.rare = { group = options.group, dedup = options.dedup, expires = expires, deadline = deadline, batch = batch }
  job.rare.front = batch and options.front or nil
  job.seq = old and old.seq or 0
  job.rare.cancel, job.rare.watched = old and old.rare.cancel, old and old.rare.watched
  set_payload(id, job, payload)
  save_job(id, job)
  if options.dedup then
    redis.call("SET", dedup_of .. options.dedup, id, unpack(options.dedup_ttl and { "PX", options.dedup_ttl } or {}))
  end
  for event in string.gmatch(options.hooks or "", "%S+") do
    redis.call("SADD", hooked_tasks, task .. " " .. event)
  end
  return job
end
