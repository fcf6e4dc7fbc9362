--[[ add_job: add one job, unless it is there already or its dedup key is held. Returns what `enqueue` answers.

  `finish_adding` comes after the last, then `write_tally` and `save_jobs`.

  KEYS  counters
]]
-- @include records
-- @include new_job
-- @include enter_new
-- @include wake_workers
-- @include emit
-- @include tally
local added, replaced = {}, {}

local function add_job(id, task, payload, options_json, time)
  if read_job(id) then
    return "EXISTS"
  end
  local options = options_json ~= "" and cjson.decode(options_json) or nil
  if options and options.dedup then
    -- @include hold_key
    local held = hold_key(task, options, payload, time)
    if held then
      replaced[#replaced + 1] = held[1] == "REPLACED" and held[2] or nil
      return held
    end
  end
  new_job(id, task, payload, options, time)
  added[#added + 1] = id
  return "OK"
end

local function finish_adding()
  enter_new()
  emit("replaced", replaced)
  -- A delayed job wakes one sleeper too, so that somebody sleeps until its due time and not past it.
  wake_workers(math.max(ready, math.min(#added + #replaced, 1)))
  if #added > 0 then
    redis.call("HINCRBY", counters, "enqueued", #added)
    emit("enqueued", added)
    tally("enqueued", #added)
  end
end
