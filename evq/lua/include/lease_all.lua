--[[ lease_all: lease jobs from the front of a set to the worker. Returns how many left the set, and how many are leased.

  An answer with many large payloads would hold everybody up: the jobs beyond `most_bytes` wait for the next call.

  KEYS  active
]]
-- @include records
-- @include lease_job
local most_bytes = 262144

local function lease_all(from, most, known, worker, time, lease_ms)
  local popped, before, ids, taken, leases = redis.call("ZPOPMIN", from, most), #leased, {}, 0, {}
  for i = 1, #popped, 2 do
    ids[#ids + 1] = popped[i]
  end
  read_jobs(ids)
  for i, id in ipairs(ids) do
    if bytes < most_bytes then
      lease_job(id, popped[2 * i], known, worker, time)
      taken = taken + 1
    else
      redis.call("ZADD", from, popped[2 * i], id)
    end
  end
  local until_ms = string.format("%d", time + lease_ms) -- once: Redis is slow at making text of a number
  for i = before + 1, #leased do
    leases[#leases + 1], leases[#leases + 2] = until_ms, leased[i]
  end
  if #leases > 0 then
    redis.call("ZADD", active, unpack(leases))
  end
  return taken, #leased - before
end
