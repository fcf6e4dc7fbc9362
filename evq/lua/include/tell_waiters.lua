--[[ tell_waiters: let everyone know who waits for a job that it has ended.

  KEYS  waiters_of waiter_of
]]
local function tell_waiters(id)
  for _, waiter in ipairs(redis.call("SMEMBERS", waiters_of .. id)) do
    redis.call("RPUSH", waiter_of .. waiter, id)
    redis.call("PEXPIRE", waiter_of .. waiter, 60000)
  end
  redis.call("DEL", waiters_of .. id)
end
