--[[ emit: say on the event stream that jobs have changed. A hint: the truth is the jobs' records.

  What follows the ids are further fields of the entry.

  KEYS  events
]]
local function emit(event, ids, ...)
  if #ids > 0 then
    redis.call("XADD", events, "MAXLEN", "~", 10000, "*", "event", event, "jobs", table.concat(ids, " "), ...)
  end
end
