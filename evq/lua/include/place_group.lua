--[[ place_group: put a group among those of which a job may start now, or take it away from there.

  It is there while it has waiting jobs, is not paused, runs fewer jobs than it may, and is not held back by its rate.
  A group that comes back is a turn of its own behind the last that started, as if that had been itself; or, if one of its
  jobs still runs, where it was, unless that has passed. So credit is not hoarded, and a group that comes and goes with
  each of its jobs passes no other.

  KEYS  groups group_names group_of waiting_of throttled counters
]]
-- @include wake_workers
local function place_group(group)
  local key = group_of .. group
  local paused, concurrency, running, turn, weight =
    unpack(redis.call("HMGET", key, "paused", "concurrency", "active", "turn", "weight"))
  local waits = redis.call("EXISTS", waiting_of .. group) == 1
  redis.call(waits and "SADD" or "SREM", group_names, group)
  local open = waits
    and not paused
    and tonumber(running or 0) < tonumber(concurrency or math.huge)
    and not redis.call("ZSCORE", throttled, group)
  local placed = redis.call("ZSCORE", groups, group)
  if open and not placed then
    local last = tonumber(redis.call("HGET", counters, "turn") or 0)
    turn = tonumber(turn or -1) >= last and turn or last + 1 / tonumber(weight or 1)
    redis.call("ZADD", groups, turn, group)
    wake_workers(1)
  elseif placed and not open then
    redis.call("ZREM", groups, group)
    if running then
      redis.call("HSET", key, "turn", placed)
    end
  end
end
