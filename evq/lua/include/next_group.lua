--[[ next_group: whose turn it is: a group's, "" for the jobs of no group, nil if no job may start. Returns also the turn,
  and whether that group is the only one.

  Turns are virtual time (Demers, Keshav and Shenker 1989): a group that starts a job moves on by 1 / its weight, and the
  one that is furthest behind is next. Jobs of no group are one more group, which never lags behind the others.
  `take_turn` moves it on.

  KEYS  groups group_of waiting counters
]]
-- @include place_group
-- @include allowance
local function next_group()
  local first = redis.call("ZRANGE", groups, 0, 0, "WITHSCORES")
  local group, turn = first[1], tonumber(first[2])
  if redis.call("EXISTS", waiting) == 0 then
    return group, turn, redis.call("ZCARD", groups) == 1
  end
  local own = math.max(tonumber(redis.call("HGET", counters, "turn") or 0), turn or 0)
  if not group or own <= turn then
    return "", own, not group
  end
  return group, turn, false
end

local function take_turn(group, turn, popped, started, time)
  if group == "" then
    redis.call("HSET", counters, "turn", turn + popped)
    return
  end
  local key = group_of .. group
  redis.call("ZADD", groups, turn + popped / tonumber(redis.call("HGET", key, "weight") or 1), group)
  redis.call("HINCRBY", counters, "grouped", -popped)
  if started > 0 then
    redis.call("HINCRBY", key, "active", started)
  end
  spend(key, started, time)
  place_group(group)
end
