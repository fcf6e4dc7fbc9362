--[[ fire: enqueue the jobs of a schedule's instants and set the next one, unless somebody else was first.

  KEYS     schedules schedule_specs
  ARGV     name      str
           spec      str  JSON; another in its place means that the schedule was changed
           instant   int  the one that is due; another in its place means that it was fired
           next_ms   int  the instant at which it fires next
           task      str
           payload   str  JSON
           options   str  JSON, as `enqueue` takes them
  EACH     id        str  a job an instant; none if all were missed and are left out
  RETURNS  {FIRED, what `enqueue` answers of each job: OK, EXISTS, {DUPLICATE, id}, {REPLACED, id}}, {EARLY}, {LOST}
  STATE    new -> waiting, waiting -> delayed, delayed -> delayed, parked -> delayed
]]
-- @include now
-- @include records
-- @include add_job
-- @include tally
local time, reply = now(), { "FIRED" }
if tonumber(redis.call("ZSCORE", schedules, name)) ~= instant or redis.call("HGET", schedule_specs, name) ~= spec then
  return { "LOST" }
elseif instant > time then
  return { "EARLY" }
end
for id in each() do
  reply[#reply + 1] = add_job(id, task, payload, options, time)
end
redis.call("ZADD", schedules, next_ms, name)
finish_adding()
write_tally(time)
save_jobs()
return reply
