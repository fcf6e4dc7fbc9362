--[[ mark: from now on all jobs of a staged batch will run, whatever becomes of their producer.

  The batch stays in `staging` for as long as it would have been held, by which a resent call is known.

  KEYS     staging marked staged_of
  ARGV     batch  str
           count  int  how many parts it must have
  RETURNS  OK, NOT_FOUND (the batch was dropped, or is not whole)
]]
-- @include now
-- @include wake_workers
local time = now()
local known = tonumber(redis.call("ZSCORE", staging, batch) or 0) > time
local parts = redis.call("HLEN", staged_of .. batch)
if redis.call("ZSCORE", marked, batch) or known and parts == 0 then
  return "OK"
elseif known and parts == count then
  redis.call("ZREM", marked, batch) -- a removal first, so that a full Redis takes what follows
  redis.call("ZADD", marked, time, batch)
  wake_workers(1)
  return "OK"
end
return "NOT_FOUND"
