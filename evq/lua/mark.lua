--[[ mark: from now on all jobs of a staged batch will run, whatever becomes of their producer.

  KEYS     staging marked staged_of counters
  ARGV     batch  str
           id     str  one of its jobs, by which a resent call is known
           count  int  how many it must have
  RETURNS  OK, NOT_FOUND (the batch was dropped, or is not whole)
]]
-- @include now
-- @include records
-- @include wake_workers
-- @include tally
local time = now()
local dropped = tonumber(redis.call("ZSCORE", staging, batch) or 0)
if dropped > time and redis.call("LLEN", staged_of .. batch) == count then
  redis.call("ZREM", staging, batch) -- a removal first, so that a full Redis takes what follows
  redis.call("ZADD", marked, time, batch)
  redis.call("HINCRBY", counters, "enqueued", count)
  tally("enqueued", count)
  write_tally(time)
  wake_workers(1)
  return "OK"
end
local job = read_job(id)
if redis.call("ZSCORE", marked, batch) or job and job.state ~= "staged" then
  return "OK"
end
return "NOT_FOUND"
