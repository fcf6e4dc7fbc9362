--[[ move_marked: let jobs of marked batches join the others, the first batch first. Returns how many it looked at (as
  many as the limit if there may be more), and how many moved.

  KEYS  job_of marked staged_of
]]
-- @include read_job
-- @include end_job
-- @include emit
-- @include place_job
local function move_marked(time, limit, keep_ms)
  local moved, looks, batch = {}, 0, redis.call("ZRANGE", marked, 0, 0)[1]
  while batch and looks < limit do
    looks = looks + 1
    local id = redis.call("LPOP", staged_of .. batch)
    local job = id and read_job(id)
    if not id then
      redis.call("ZREM", marked, batch)
      batch = redis.call("ZRANGE", marked, 0, 0)[1]
    elseif job and job.state == "staged" then
      local due = tonumber(redis.call("HGET", job_of .. id, "due")) or 0
      if job.cancel then
        end_job(id, job, "cancelled", time, keep_ms)
      else
        redis.call("HSET", job_of .. id, "state", due > time and "delayed" or "waiting")
        redis.call("HDEL", job_of .. id, "batch")
        place_job(id, job.options, due, job.options.front, time)
      end
      moved[#moved + 1] = id
    end
  end
  emit("enqueued", moved)
  return looks, #moved
end
