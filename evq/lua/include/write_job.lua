--[[ write_job: write the record of a new job, staged if it belongs to a batch. Returns the options that matter later, and
  when it is due.

  Options that are times are kept as moments.

  KEYS  job_of dedup_of hooked_tasks
]]
local function keep_options(options, time)
  local kept = { group = options.group, dedup = options.dedup }
  kept.expires = options.expires and time + options.expires
  kept.deadline = options.deadline and time + options.deadline
  return kept, math.max(options.at or 0, time + (options.delay or 0))
end

local function write_job(id, task, payload, options, time, batch)
  local kept, due = keep_options(options, time)
  local fields = { "task", task, "payload", payload, "priority", options.priority or 2048, "created", time }
  if due > time then
    fields[#fields + 1], fields[#fields + 2] = "due", due
  end
  kept.front = batch and options.front
  if next(kept) then
    fields[#fields + 1], fields[#fields + 2] = "options", cjson.encode(kept)
  end
  if batch then
    fields[#fields + 1], fields[#fields + 2] = "batch", batch
  end
  -- The first write may be refused by a full Redis, before anything has changed.
  redis.call("HSET", job_of .. id, "state", batch and "staged" or due > time and "delayed" or "waiting", unpack(fields))
  if options.dedup then
    redis.call("SET", dedup_of .. options.dedup, id, unpack(options.dedup_ttl and { "PX", options.dedup_ttl } or {}))
  end
  for event in string.gmatch(options.hooks or "", "%S+") do
    redis.call("SADD", hooked_tasks, task .. " " .. event)
  end
  return kept, due
end
