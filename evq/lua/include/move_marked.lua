--[[ move_marked: let jobs of a marked batch join the others, the first batch first. Returns how many moved.

  KEYS  job_of marked staged_of
]]
-- @include read_job
-- @include end_job
-- @include emit
-- @include place_job
local function move_marked(time, limit, keep_ms)
  local batch, moved = redis.call("ZRANGE", marked, 0, 0)[1], {}
  for _ = 1, batch and limit or 0 do
    local id = redis.call("LPOP", staged_of .. batch)
    local job = id and read_job(id)
    if not id then
      redis.call("ZREM", marked, batch)
      break
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
  return #moved
end
