--[[ read_job: what the scripts need to know of a job, or nil if there is none; and further fields by name.

  Options that differ from the default are one field, JSON, which most jobs do not have. What is no record is no job: a
  script that has taken jobs from a set must not stumble over one of them, or the others would be lost. For the same reason
  a field of the wrong kind is as good as none.

  KEYS  job_of
]]
local kinds = { group = "string", dedup = "string", expires = "number", deadline = "number", front = "boolean" }
local no_options = {}

local function read_options(text)
  local read, found = pcall(cjson.decode, text)
  local options = {}
  for name, kind in pairs(read and type(found) == "table" and kinds or {}) do
    options[name] = type(found[name]) == kind and found[name] or nil
  end
  return options
end

local function read_job(id, ...)
  local read = redis.pcall("HMGET", job_of .. id, "state", "task", "fence", "seq", "started", "settled", "failures",
    "cancel", "watched", "options", ...)
  local state, task, fence, seq, started, settled, failures, cancel, watched, options = unpack(read)
  local job = state
    and task
    and {
      state = state,
      task = task,
      fence = tonumber(fence) or 0,
      seq = tonumber(seq) or 0,
      started = tonumber(started) or 0,
      settled = tonumber(settled),
      failures = tonumber(failures) or 0,
      cancel = cancel,
      watched = watched,
      options = options and read_options(options) or no_options,
    }
  return job, unpack(read, 11)
end
