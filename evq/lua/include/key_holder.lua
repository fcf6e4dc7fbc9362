--[[ key_holder: the job that holds a dedup key, its id and the job, or nil.

  KEYS  dedup_of
]]
-- @include records
-- @include enter_new
local function key_holder(key)
  local holder = redis.call("GET", dedup_of .. key)
  if holder and cached[holder] == true then -- it is new itself
    enter_new()
  end
  local job = holder and read_job(holder)
  if job and job.state ~= "completed" and job.state ~= "failed" and job.state ~= "cancelled" then
    return holder, job
  end
end
