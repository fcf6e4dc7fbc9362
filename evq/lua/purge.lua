--[[ purge: delete jobs that ended until a moment; those whose hooks have not run yet stay, and go behind the others.

  ARGV     state     str  completed, failed or cancelled
           until_ms  int
           limit     int
  RETURNS  {how many were looked at: if as many as the limit, there may be more; how many were deleted}
  STATE    completed -> gone, failed -> gone, cancelled -> gone
]]
-- @include now
-- @include final
-- @include let_go
local found = redis.call("ZRANGEBYSCORE", final[state], "-inf", until_ms, "LIMIT", 0, limit)
return { #found, let_go(state, found, now()) }
