--[[ purge: delete jobs that ended so long ago; those whose hooks have not run yet stay.

  KEYS     completed failed cancelled ended
  ARGV     state   str  completed, failed or cancelled
           age_ms  int
           limit   int
  RETURNS  how many
  STATE    completed -> gone, failed -> gone, cancelled -> gone
]]
-- @include now
-- @include forget
local set = ({ completed = completed, failed = failed, cancelled = cancelled })[state]
local count = 0
for _, id in ipairs(redis.call("ZRANGEBYSCORE", set, "-inf", now() - age_ms, "LIMIT", 0, limit)) do
  if not redis.call("ZSCORE", ended, id) then
    redis.call("ZREM", set, id)
    forget(id, state)
    count = count + 1
  end
end
return count
