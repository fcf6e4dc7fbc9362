--[[ hold_key: see whether another job holds a new one's dedup key. Returns what `enqueue` answers then, else nil.

  A job that runs is never changed: beside it `replace` and `debounce` make a new one, which takes the key over.

  KEYS  dedup_of
]]
-- @include read_job
-- @include update_job
local function hold_key(options, payload, time)
  local holder = redis.call("GET", dedup_of .. options.dedup)
  local job = holder and read_job(holder)
  if not job or job.state == "completed" or job.state == "failed" or job.state == "cancelled" then
    return nil
  elseif options.dedup_mode ~= "replace" and options.dedup_mode ~= "debounce" then
    return { "DUPLICATE", holder }
  elseif job.state ~= "active" and job.state ~= "staged" then
    update_job(holder, job, payload, options, time)
    return { "REPLACED", holder }
  end
end
