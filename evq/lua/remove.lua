--[[ remove: delete jobs that do not run, with all that is kept of them; no hook is run.

  KEYS     completed failed cancelled ended deadlines dedup_of
  EACH     id  str
  RETURNS  a word a job: OK, ACTIVE (cancel it first), NOT_FOUND
  STATE    waiting -> gone, delayed -> gone, parked -> gone, completed -> gone, failed -> gone, cancelled -> gone
]]
-- @include records
-- @include withdraw
-- @include forget
-- @include emit
local words, removed = {}, {}
for id in each() do
  local job, word = read_job(id), "OK"
  if not job then
    word = "NOT_FOUND"
  elseif job.state == "active" then
    word = "ACTIVE"
  else
    local dedup = job.rare.dedup
    withdraw(id, job)
    for _, set in ipairs({ completed, failed, cancelled, ended, deadlines }) do
      redis.call("ZREM", set, id)
    end
    if dedup and redis.call("GET", dedup_of .. dedup) == id then
      redis.call("DEL", dedup_of .. dedup)
    end
    forget({ id })
    removed[#removed + 1] = id
  end
  words[#words + 1] = word
end
emit("removed", removed)
return words
