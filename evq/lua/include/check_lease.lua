--[[ check_lease: may the holder of this fence write to the job? Returns a word, and the job if it is OK.

  OK        yes
  REPEATED  this very lease has settled the job before: a resent call, to be left without effect
  STALE     no: the lease was lost
]]
-- @include records
local function check_lease(id, fence)
  local job = read_job(id)
  if job and job.fence == fence and job.state == "active" then
    return "OK", job
  elseif job and (job.fence == fence or job.rare.settled == fence) then
    return "REPEATED"
  end
  return "STALE"
end
