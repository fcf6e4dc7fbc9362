--[[ enqueue: add jobs, all of them or none; an id that is there already is left as it is.

  EACH     id       str
           task     str
           payload  str  JSON
           options  str  JSON of those that differ from the default, or nothing
  RETURNS  a word a job: OK, EXISTS; or with the id of the job that stands: {DUPLICATE, id}, {REPLACED, id}
  STATE    new -> waiting, new -> delayed, waiting -> delayed, delayed -> delayed, parked -> delayed
]]
-- @include now
-- @include add_job
local time, words = now(), {}
for id, task, payload, options in each() do
  words[#words + 1] = add_job(id, task, payload, options, time)
end
finish_adding(time)
return words
