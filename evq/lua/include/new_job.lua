--[[ new_job: make the record of a new job, to be written with the others of this call by `enter_new`.

  It is packed at once, and no table is made of it: until it is written it is there, but cannot be read.

  KEYS  payloads
]]
-- @include pack_job
-- @include records
local new_records, entering, new_options, ready = {}, {}, {}, 0

local function new_job(id, task, payload, options, time)
  local state, priority, due, rare = "waiting", 2048
  if options then
    -- @include apply_options
    state, priority, due, rare = apply_options(id, task, options, time)
    new_options[id] = options
  end
  if #payload > 1024 then -- beside the record, so that changes do not copy it
    redis.call("HSET", payloads, id, payload)
    payload = nil
  end
  local count = #new_records
  new_records[count + 1], new_records[count + 2] = id, pack_new(state, task, payload, time, priority, due, rare)
  cached[id] = true
  if state == "waiting" then
    entering[#entering + 1], ready = id, ready + 1
  end
end
