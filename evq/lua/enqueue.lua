--[[ enqueue: add jobs, all of them or none; an id that is there already is left as it is.

  KEYS     job_of delayed hooked_tasks counters
  EACH     id        str
           task      str
           payload   str  JSON
           priority  int  0 to 4095, lower first
           delay_ms  int  from now; 0 for none
           at_ms     int  not before, ms since the epoch; 0 for none
           hooked    int  1 if the task has hooks
  RETURNS  a word a job: OK, EXISTS
  STATE    new -> waiting, new -> delayed
]]
-- @include now
-- @include to_waiting
-- @include wake_workers
-- @include emit
local time = now()
local words, added, ready = {}, {}, 0

for id, task, payload, priority, delay_ms, at_ms, hooked in each() do
  local key = job_of .. id
  if redis.call("EXISTS", key) == 1 then
    words[#words + 1] = "EXISTS"
  else
    -- The first write may be refused by a full Redis, before anything has changed.
    redis.call("HSET", key, "task", task, "payload", payload, "priority", priority, "created", time)
    local due = math.max(at_ms, time + delay_ms)
    if due > time then
      redis.call("HSET", key, "state", "delayed", "due", due)
      redis.call("ZADD", delayed, due, id)
    else
      to_waiting(id, priority, false)
      ready = ready + 1
    end
    if hooked == 1 then
      redis.call("SADD", hooked_tasks, task)
    end
    words[#words + 1] = "OK"
    added[#added + 1] = id
  end
end

if #added == 0 then
  return words
end
redis.call("HINCRBY", counters, "enqueued", #added)
-- A new delayed job wakes one sleeper too, so that somebody sleeps until its due time and not past it.
wake_workers(math.max(ready, 1))
emit("enqueued", added)
return words
