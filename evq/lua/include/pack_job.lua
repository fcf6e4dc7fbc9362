--[[ pack_job: make a record of a job, or read one; an error if it is none.

  It is packed by MessagePack, field after field, which takes half the memory of a hash, and half the time. What few jobs
  have is in `rare`: so is any field that comes later, since older versions keep there what they do not know. What is
  rare and of the wrong kind is as good as none.
]]
local kinds = { group = "string", dedup = "string", expires = "number", deadline = "number", crashed = "string",
  crashes = "number", hook_runs = "number", batch = "string" }

local function pack_job(job)
  return cmsgpack.pack(job.state, job.task, job.payload, job.created, job.priority, job.due, job.seq, job.fence,
    job.failures, job.started, job.ended, job.worker, job.error, job.result, next(job.rare) and job.rare or nil)
end

local function unpack_job(packed)
  local job = {}
  job.state, job.task, job.payload, job.created, job.priority, job.due, job.seq, job.fence, job.failures, job.started,
    job.ended, job.worker, job.error, job.result, job.rare = cmsgpack.unpack(packed)
  job.rare = type(job.rare) == "table" and job.rare or {}
  for name, value in pairs(job.rare) do
    job.rare[name] = type(value) == (kinds[name] or type(value)) and value or nil
  end
  -- Which is an error if one of them is no number.
  local numbers = job.created + job.priority + job.seq + job.fence + job.failures + (job.due or 0) + (job.started or 0)
  return type(job.state) == "string" and type(job.task) == "string" and numbers > 0 and job
end
