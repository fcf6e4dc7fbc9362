--[[ reserve: lease jobs to a worker: groups take turns; within one the most urgent first, oldest first among equals.

  A job of a task that the worker does not know is parked, until a worker comes that knows it.

  KEYS     waiting waiting_of groups group_of throttled limits active parked_tasks marked deadlines delayed
  ARGV     worker      str
           count       int  at most so many
           lease_ms    int
           keep_ms     int  how long an ended job is kept
           keep_count  int  how many ended jobs are kept
  EACH     task        str  known to the worker
           isolates    int  1 if the worker can run it in a process of its own
  RETURNS  {wait_ms, parked ids, their tasks, job, ...}; wait_ms is 0 if more can start now, else as `next_due` says;
           a job is {id, task, payload, fence, failures, created, progress or false, ms to its deadline or -1, isolated}
  STATE    waiting -> active, waiting -> parked, parked -> waiting, waiting -> failed
]]
-- @include now
-- @include finish
-- @include lease_all
-- @include lease_job
-- @include wake_workers
-- @include emit
local time, known = now(), {}
for task, isolates in each() do
  known[task] = isolates
end
-- What few queues have costs the others one question, and no step that it needs is even defined.
local plain = redis.call("EXISTS", delayed, throttled, marked, deadlines, parked_tasks, groups, limits) == 0
local lease = tonumber(redis.call("ZRANGE", active, "0", "0", "WITHSCORES")[2])
local rest
if not plain or lease and lease <= time then
  -- @include reclaim_expired
  -- @include promote_due
  -- @include expire_due
  -- @include move_marked
  -- @include unpark
  reclaim_expired(time, 8)
  promote_due(time, 128)
  if redis.call("EXISTS", marked, deadlines, parked_tasks) > 0 then
    rest = move_marked(time, 50)
    expire_due(time, 8)
    -- No more than go now, since another worker may not know them and would park them anew.
    rest = unpark(known, math.min(count, 64)) or rest
  end
  plain = redis.call("EXISTS", groups, limits) == 0
end

local more, pause
if plain then
  lease_all(waiting, count, known, worker, time, lease_ms)
  more = redis.call("EXISTS", waiting) == 1
else
  -- @include allowance
  -- @include next_group
  -- By turns, a job takes several times as long, so a call takes fewer.
  local left, looks = math.min(count, 50, (allowance(limits, redis.call("ZCARD", active), time))), 75
  local group, turn, alone = next_group()
  while group and left > 0 and looks > 0 and bytes < most_bytes do
    local most, wait = math.huge
    if group ~= "" then
      most, wait = allowance(group_of .. group, tonumber(redis.call("HGET", group_of .. group, "active") or 0), time)
    end
    if wait then
      redis.call("ZREM", groups, group)
      redis.call("ZADD", throttled, time + wait, group)
      looks = looks - 1
    else
      local from = group == "" and waiting or waiting_of .. group
      local taken, started = lease_all(from, alone and math.min(left, most) or 1, known, worker, time, lease_ms)
      take_turn(group, turn, taken, started, time)
      left, looks = left - taken, looks - taken
    end
    group, turn, alone = next_group()
  end
  spend(limits, #leased, time)
  more, pause = allowance(limits, redis.call("ZCARD", active), time)
  more = group and more > 0
end

emit("reserved", leased)
emit("parked", parked)
wake_workers(#parked)
finish(time, keep_ms, keep_count)
if more or rest then
  wake_workers(1)
  return { 0, parked, strange, unpack(jobs) }
end
-- @include next_due
local wait_ms = next_due(time)
if pause and (wait_ms < 0 or pause < wait_ms) then
  wait_ms = pause
end
return { wait_ms, parked, strange, unpack(jobs) }
