--[[ allowance: how many jobs the limits of a queue or group let start now; if none, also ms until one may, if known.

  A rate is a GCRA (ITU-T I.371): `tat` is the theoretical arrival time of the next job, which may be up to `burst`
  intervals ahead. `spend` notes that jobs have started.
]]
local function allowance(key, running, time)
  local paused, concurrency, interval, burst, tat =
    unpack(redis.call("HMGET", key, "paused", "concurrency", "interval", "burst", "tat"))
  if paused then
    return 0
  end
  local open = math.max(0, tonumber(concurrency or math.huge) - running)
  if interval and open > 0 then
    local ahead = math.max(tonumber(tat or 0) - time, 0)
    local room = burst * interval - ahead
    if room < tonumber(interval) then
      return 0, math.ceil(interval - room)
    end
    open = math.min(open, math.floor(room / interval))
  end
  return open
end

local function spend(key, count, time)
  local interval, tat = unpack(redis.call("HMGET", key, "interval", "tat"))
  if interval and count > 0 then
    redis.call("HSET", key, "tat", math.max(tonumber(tat or 0), time) + count * interval)
  end
end
