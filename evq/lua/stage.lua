--[[ stage: write a part of a large batch of jobs, of which none can run before `mark`.

  A batch that is neither continued nor marked is dropped by `expire`; until then a job of it is another batch's for the
  asking, since its producer may have begun anew.

  KEYS     staging staged_of
  ARGV     batch    str
           hold_ms  int  how long its producer may take until the next part
  EACH     id       str
           task     str
           payload  str  JSON
           options  str  JSON of those that differ from the default, or nothing
  RETURNS  a word a job: OK, EXISTS
  STATE    new -> staged
]]
-- @include now
-- @include records
-- @include stands
-- @include new_job
local time, words = now(), {}
read_jobs(firsts())
for id, task, payload, options in each() do
  local there, job = stands(id), read_job(id)
  if not there and not (job and job.rare.batch == batch) then -- else the call is a resent one
    new_job(id, task, payload, options == "" and {} or cjson.decode(options), time, batch)
    redis.call("RPUSH", staged_of .. batch, id)
  end
  words[#words + 1] = there and "EXISTS" or "OK"
end
redis.call("ZREM", staging, batch) -- a removal first, so that a full Redis can be made to drop a batch
redis.call("ZADD", staging, time + hold_ms, batch)
save_jobs()
return words
