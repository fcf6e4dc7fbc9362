--[[ held_until: the time until which no job is taken back, ms, or 0: whoever lives shall extend his leases first.

  While nobody could reach Redis, or its clock has jumped, a lease that has run out says nothing of its worker. The first
  heartbeat after such a silence notes how long the others may need: a half-open connection is given up after 6 s.

  KEYS  workers counters
]]
local function held_until(time)
  if redis.call("ZCOUNT", workers, "(" .. time, "+inf") == 0 then
    return time + 500 -- that heartbeat is still to come
  end
  return tonumber(redis.call("HGET", counters, "held") or 0)
end
