--[[ check_lease: may the holder of this fence write to the job?

  OK        yes
  REPEATED  this very lease has settled the job before: a resent call, to be left without effect
  STALE     no: the lease was lost

  KEYS  job_of
]]
local function check_lease(id, fence)
  local state, current, settled = unpack(redis.call("HMGET", job_of .. id, "state", "fence", "settled"))
  if tonumber(settled) == fence then
    return "REPEATED"
  elseif state == "active" and tonumber(current) == fence then
    return "OK"
  end
  return "STALE"
end
