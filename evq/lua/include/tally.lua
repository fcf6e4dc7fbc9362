--[[ tally: count what happens, for the minute's metrics.

  `tally` adds to a figure, `tally_time` adds a time (ms) to its sum and to its histogram, by powers of two: `wait:10`
  counts waits of 512 to 1,023 ms. `write_tally` ends the script: one write a figure, however many jobs there were.

  KEYS  metrics_of
]]
local figures, times = {}, {}

local function tally(figure, count)
  figures[figure] = (figures[figure] or 0) + count
end

local function tally_time(figure, ms)
  ms = ms > 0 and ms or 0
  local _, bits = math.frexp(ms)
  local counts = times[figure] or {}
  times[figure] = counts
  counts[bits] = (counts[bits] or 0) + 1
  counts.ms = (counts.ms or 0) + ms
end

local function write_tally(time)
  for figure, counts in pairs(times) do
    for bits, count in pairs(counts) do
      tally(bits == "ms" and figure .. "_ms" or figure .. ":" .. math.min(bits, 32), count)
    end
  end
  local key = metrics_of .. math.floor(time / 60000)
  for figure, count in pairs(figures) do
    if redis.call("HINCRBY", key, figure, count) == count then
      redis.call("PEXPIRE", key, 172800000) -- the figure is new in this minute: 48 h from here
    end
  end
end
