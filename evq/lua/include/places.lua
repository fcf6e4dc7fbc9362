--[[ places: take places in the sequence, and make of one the score of a job among those that wait.

  The score is exact: 12 bits of priority, then 41 bits around 2^40 for the place in the sequence, 53 in all.

  KEYS  counters
]]
local function take_places(count)
  return redis.call("HINCRBY", counters, "sequence", count)
end

local function score_of(priority, place, front)
  -- As text, since Redis is slow at making it of a number.
  return string.format("%d", priority * 2199023255552 + 1099511627776 + (front and -place or place))
end
