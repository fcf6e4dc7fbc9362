--[[ apply_options: do what the options of a new job ask for. Returns its state, its priority, when it is due if it is
  delayed, and what is rare of it.

  KEYS  dedup_of hooked_tasks delayed
]]
-- @include read_times
-- @include place_deadline
local function apply_options(id, task, options, time)
  local dedup, priority, due, expires, deadline = options.dedup, options.priority or 2048, read_times(options, time)
  local rare = { group = options.group, dedup = dedup, expires = expires, deadline = deadline }
  rare = next(rare) and rare
  if dedup then
    redis.call("SET", dedup_of .. dedup, id, unpack(options.dedup_ttl and { "PX", options.dedup_ttl } or {}))
  end
  for event in string.gmatch(options.hooks or "", "%S+") do
    redis.call("SADD", hooked_tasks, task .. " " .. event)
  end
  place_deadline(id, expires, deadline)
  if due > time then
    redis.call("ZADD", delayed, due, id)
    return "delayed", priority, due, rare
  end
  return "waiting", priority, nil, rare
end
