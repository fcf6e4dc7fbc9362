--[[ settle_each: take each job of EACH whose lease the caller still holds away from its worker, then do `act` to it.
  Returns a word a job: OK, REPEATED or STALE.
]]
-- @include records
-- @include each_lease
-- @include check_lease
-- @include leave_active
local function settle_each(act)
  local held, found = {}, {}
  read_jobs(firsts())
  for id, fence in each() do
    if not found[id] and check_lease(id, fence) == "OK" then
      held[#held + 1], found[id] = id, true
    end
  end
  leave_active(held)
  return each_lease(act)
end
