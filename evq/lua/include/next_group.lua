--[[ next_group: whose turn it is: a group's, "" for the jobs of no group, nil if no job may start. Returns also the turn,
  and whether that group is the only one.

  Turns are virtual time (Demers, Keshav and Shenker 1989): a group that starts a job moves on by 1 / its weight, and the
  one that is furthest behind is next. Jobs of no group are one more group. `take_turn` moves it on; the counter `turn`
  is that of the last job that started, `own_turn` that of the next one of no group.

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
  local last, own = unpack(redis.call("HMGET", counters, "turn", "own_turn"))
  own = math.max(tonumber(last or 0), tonumber(own or 0))
  if not group or own < turn then
    return "", own, not group
  end
  return group, turn, false
end

local function take_turn(group, turn, popped, started, time)
  local key = group_of .. group
  local step = 1 / tonumber(group ~= "" and redis.call("HGET", key, "weight") or 1)
  local following = turn + popped * step
  redis.call("HSET", counters, "turn", math.max(turn, following - step))
  if group == "" then
    redis.call("HSET", counters, "own_turn", following)
    return
  end
  redis.call("ZADD", groups, following, group)
  redis.call("HINCRBY", counters, "grouped", -popped)
  if started > 0 then
    redis.call("HINCRBY", key, "active", started)
  end
  spend(key, started, time)
  place_group(group)
end
