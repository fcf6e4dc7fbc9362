--[[ emit: say on the event stream that jobs have changed. A hint: the truth is the jobs' records. What was said of the
  last 10,000 jobs or so is kept, and at least the last 100 entries.

  What follows the ids are further fields of the entry.

  KEYS  events
]]
local function emit(event, ids, ...)
  if #ids > 0 then
    -- Of one job, the usual case, as text: Redis is slow at making text of a number.
    local most = #ids == 1 and "10000" or math.max(100, math.floor(10000 / #ids))
    redis.call("XADD", events, "MAXLEN", "~", most, "*", "event", event, "jobs", table.concat(ids, " "), ...)
  end
end
