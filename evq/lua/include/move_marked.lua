--[[ move_marked: add the jobs of marked batches, the first batch first: as many parts as have so many jobs, or fewer if
  they are large. Returns whether there is more to move.

  KEYS  marked staged_of
]]
-- @include records
-- @include add_job
local function move_marked(time, limit)
  local looks, size, batch = 0, 0, redis.call("ZRANGE", marked, 0, 0)[1]
  while batch and looks < limit and size < 262144 do
    local key, ids = staged_of .. batch, {}
    local part = redis.call("HLEN", key)
    local packed = redis.call("HGET", key, part)
    redis.call("HDEL", key, part) -- a removal first, so that a full Redis takes what follows
    local _, values = pcall(cmsgpack.unpack, packed)
    values = type(values) == "table" and values or {} -- what cannot be read must not stop a worker
    for i = 1, #values, 4 do
      ids[#ids + 1] = values[i]
    end
    read_jobs(ids)
    for i, id in ipairs(ids) do
      add_job(id, values[4 * i - 2], values[4 * i - 1], values[4 * i], time)
    end
    looks, size = looks + #ids, size + #(packed or "")
    if part <= 1 or not packed then
      redis.call("ZREM", marked, batch)
      batch = redis.call("ZRANGE", marked, 0, 0)[1]
    end
  end
  if looks > 0 then
    finish_adding()
  end
  return batch ~= nil
end
