--[[ new_job: make the record of a new job.

  Options that are times are kept as moments.

  KEYS  dedup_of hooked_tasks
]]
-- @include records
-- @include set_payload
local function read_times(options, time)
  local due = math.max(options.at or 0, time + (options.delay or 0))
  return due, options.expires and time + options.expires, options.deadline and time + options.deadline
end

local function hold_options(id, task, options)
  if options.dedup then
    redis.call("SET", dedup_of .. options.dedup, id, unpack(options.dedup_ttl and { "PX", options.dedup_ttl } or {}))
  end
  for event in string.gmatch(options.hooks or "", "%S+") do
    redis.call("SADD", hooked_tasks, task .. " " .. event)
  end
end

local function new_job(id, task, payload, options, time)
  local due, expires, deadline = read_times(options, time)
  local job = {
    state = due > time and "delayed" or "waiting",
    task = task,
    payload = "",
    created = time,
    priority = options.priority or 2048,
    due = due > time and due or nil,
    seq = 0,
    fence = 0,
    failures = 0,
    rare = { group = options.group, dedup = options.dedup, expires = expires, deadline = deadline },
  }
  set_payload(id, job, payload)
  save_job(id, job)
  if next(options) then
    hold_options(id, task, options)
  end
  return job
end
