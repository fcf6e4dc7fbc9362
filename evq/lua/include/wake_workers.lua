--[[ wake_workers: leave tokens for up to `count` sleeping workers. Losing one costs a few seconds, never a job.

  KEYS  wake
]]
local function wake_workers(count)
  for _ = redis.call("LLEN", wake) + 1, math.min(count, 32) do
    redis.call("RPUSH", wake, "job")
  end
end
