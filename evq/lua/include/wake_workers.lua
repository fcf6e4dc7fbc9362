--[[ wake_workers: leave tokens for up to `count` sleeping workers. Losing one costs a few seconds, never a job.

  KEYS  wake
]]
local function wake_workers(count)
  for _ = count > 0 and redis.call("LLEN", wake) + 1 or 1, math.min(count, 32) do
    redis.call("RPUSH", wake, "job")
  end
end
