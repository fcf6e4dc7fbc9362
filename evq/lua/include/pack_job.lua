--[[ pack_job: make a record of a job, or read one; an error if it is none.

  It is packed by MessagePack, field after field, which takes half the memory of a hash, and half the time. What few jobs
  have is in `rare`: so is any field that comes later, since older versions keep there what they do not know. What is
  rare and of the wrong kind is as good as none.
]]
local kinds -- there once a job has something rare

local function pack_job(job)
  return cmsgpack.pack(job.state, job.task, job.payload, job.created, job.priority, job.due, job.seq, job.fence,
    job.failures, job.started, job.ended, job.worker, job.error, job.result, next(job.rare) and job.rare or nil)
end

local function pack_new(state, task, payload, created, priority, due, rare)
  return cmsgpack.pack(state, task, payload, created, priority, due, 0, 0, 0, nil, nil, nil, nil, nil, rare)
end

local function unpack_job(packed)
  local state, task, payload, created, priority, due, seq, fence, failures, started, ended, worker, error, result, rare =
    cmsgpack.unpack(packed)
  -- Which is an error if one of them is no number.
  local numbers = created + priority + seq + fence + failures + (due or 0) + (started or 0)
  rare = type(rare) == "table" and rare or {}
  kinds = kinds or next(rare) and { group = "string", dedup = "string", expires = "number", deadline = "number",
    crashed = "string", crashes = "number", hook_runs = "number" }
  for name, value in pairs(rare) do
    rare[name] = type(value) == (kinds[name] or type(value)) and value or nil
  end
  return type(state) == "string"
    and type(task) == "string"
    and numbers > 0
    and {
      state = state,
      task = task,
      payload = payload,
      created = created,
      priority = priority,
      due = due,
      seq = seq,
      fence = fence,
      failures = failures,
      started = started,
      ended = ended,
      worker = worker,
      error = error,
      result = result,
      rare = rare,
    }
end
