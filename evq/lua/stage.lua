--[[ stage: keep parts of a large batch of jobs as they came; none of them is a job before `mark` and `move`.

  The parts are numbered down to 1, so that the next to be moved is as many as there are left. Any of them may come twice,
  and in any order. A batch that is neither continued nor marked is dropped by `expire`.

  KEYS     staging staged_of
  ARGV     batch    str
           hold_ms  int  how long its producer may take until the next call
  EACH     part     int
           packed   str  MessagePack: id, task, payload and options of one job after the other, as `enqueue` takes them
  RETURNS  nothing
]]
-- @include now
-- @include is_marked
local time = now()
if is_marked(batch, time) then
  return false -- a call that was sent again, and comes late
end
for part, packed in each() do
  redis.call("HSET", staged_of .. batch, part, packed)
end
redis.call("ZREM", staging, batch) -- a removal first, so that a full Redis can be made to drop a batch
redis.call("ZADD", staging, time + hold_ms, batch)
return false
