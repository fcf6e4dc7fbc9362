--[[ hold_key: see whether another job holds a new one's dedup key. Returns what `enqueue` answers then, else nil.

  A job that runs is never changed: beside it `replace` and `debounce` make a new one, which takes the key over. Nor is
  one of another task.
]]
-- @include key_holder
-- @include update_job
local function hold_key(task, options, payload, time)
  local holder, job = key_holder(options.dedup)
  if not holder then
    return nil
  elseif job.task ~= task or options.dedup_mode ~= "replace" and options.dedup_mode ~= "debounce" then
    return { "DUPLICATE", holder }
  elseif job.state ~= "active" then
    update_job(holder, job, payload, options, time)
    return { "REPLACED", holder }
  end
end
