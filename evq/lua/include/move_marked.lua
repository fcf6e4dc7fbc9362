--[[ move_marked: let jobs of marked batches join the others, the first batch first. Returns how many it looked at (as
  many as the limit if there may be more), and how many moved.

  KEYS  marked staged_of
]]
-- @include records
-- @include end_job
-- @include emit
-- @include place_job
local function move_job(id, job, time)
  if job.rare.cancel then
    end_job(id, job, "cancelled", time)
    return
  end
  local front = job.rare.front
  job.state, job.rare.batch, job.rare.front = (job.due or 0) > time and "delayed" or "waiting", nil, nil
  place_job(id, job, front)
  save_job(id, job)
end

local function move_marked(time, limit)
  local moved, looks = {}, 0
  while looks < limit do
    local batch = redis.call("ZRANGE", marked, 0, 0)[1]
    local ids = batch and redis.call("LPOP", staged_of .. batch, limit - looks) or {}
    read_jobs(ids)
    for _, id in ipairs(ids) do
      local job = read_job(id)
      if job and job.state == "staged" then
        move_job(id, job, time)
        moved[#moved + 1] = id
      end
    end
    looks = looks + #ids
    if batch and #ids == 0 then
      redis.call("ZREM", marked, batch)
      looks = looks + 1
    elseif not batch then
      break
    end
  end
  enter_waiting()
  emit("enqueued", moved)
  return looks, #moved
end
