--[[ mark: from now on all jobs of a staged batch will run, whatever becomes of their producer.

  The batch is remembered in `staging`, by which calls that are sent again are known even after the move.

  KEYS     staging marked staged_of
  ARGV     batch    str
           count    int  how many parts it must have
           hold_ms  int  for how long it is remembered
  RETURNS  OK, NOT_FOUND (the batch was dropped, or is not whole)
]]
-- @include now
-- @include is_marked
-- @include wake_workers
local time = now()
if is_marked(batch, time) then
  return "OK"
end
local held = tonumber(redis.call("ZSCORE", staging, batch) or 0) > time
if held and redis.call("HLEN", staged_of .. batch) == count then
  redis.call("ZREM", staging, batch) -- a removal first, so that a full Redis takes what follows
  redis.call("ZADD", staging, time + hold_ms, batch)
  redis.call("ZADD", marked, time, batch)
  wake_workers(1)
  return "OK"
end
return "NOT_FOUND"
