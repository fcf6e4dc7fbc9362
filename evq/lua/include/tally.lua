--[[ tally: count what happens, for the minute's metrics.

  `tally` adds to a figure, `tally_time` adds a time (ms) to its sum and to its histogram, by powers of two: `wait:10`
  counts waits of 512 to 1,023 ms. `write_tally` ends the script: one write a figure, however many jobs there were.

  KEYS  metrics_of
]]
local figures = {}

local function tally(figure, count)
  figures[figure] = (figures[figure] or 0) + count
end

local function tally_time(figure, ms)
  local _, bits = math.frexp(math.max(ms, 0))
  tally(figure .. "_ms", math.max(ms, 0))
  tally(figure .. ":" .. math.min(bits, 32), 1)
end

local function write_tally(time)
  local key = metrics_of .. math.floor(time / 60000)
  for figure, count in pairs(figures) do
    if redis.call("HINCRBY", key, figure, count) == count then
      redis.call("PEXPIRE", key, 172800000) -- the figure is new in this minute: 48 h from here
    end
  end
end
