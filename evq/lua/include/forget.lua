--[[ forget: delete what is kept of a job of this state that is in no set any more.

  One of another state was enqueued again under its id, after its record had expired, and stays.

  KEYS  job_of progress_of log_of waiters_of
]]
local function forget(id, state)
  local found = redis.pcall("HGET", job_of .. id, "state")
  if not found or found == state then
    redis.call("UNLINK", job_of .. id, progress_of .. id, log_of .. id, waiters_of .. id)
  end
end
