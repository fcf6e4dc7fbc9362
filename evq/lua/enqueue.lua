--[[ enqueue: add jobs, all of them or none; an id that is there already is left as it is.

  One that may not be beside the job that holds its dedup key refuses all, before anything is written.

  EACH     id       str
           task     str
           payload  str  JSON
           options  str  JSON of those that differ from the default, or nothing
  RETURNS  a word a job: OK, EXISTS; or with the id of the job that stands: {DUPLICATE, id}, {REPLACED, id}; or for all
           {REFUSED, the id of the job that holds the key}
  STATE    new -> waiting, new -> delayed, waiting -> delayed, delayed -> delayed, parked -> delayed
]]
-- @include now
-- @include records
-- @include add_job
-- @include tally
local time, words, taken = now(), {}, {}
read_jobs(firsts())
for id, task, _, options_json in each() do
  local options = options_json ~= "" and string.find(options_json, '"dedup":', 1, true) and cjson.decode(options_json)
  if options then
    -- @include key_holder
    local key, rejects = options.dedup, options.dedup_mode == "reject"
    local holder, job = key_holder(key)
    holder = holder or rejects and taken[key]
    if holder and holder ~= id and (rejects or options.dedup_mode ~= "existing" and job.task ~= task) then
      return { "REFUSED", holder }
    end
    taken[key] = id
  end
end
for id, task, payload, options in each() do
  words[#words + 1] = add_job(id, task, payload, options, time)
end
finish_adding()
write_tally(time)
save_jobs()
return words
