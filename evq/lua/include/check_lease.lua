--[[ check_lease: may the holder of this fence write to the job? Returns a word, and the job if it is OK.

  OK        yes
  REPEATED  this very lease has settled the job before: a resent call, to be left without effect
  STALE     no: the lease was lost
]]
-- @include read_job
local function check_lease(id, fence)
  local job = read_job(id)
  if job and job.settled == fence then
    return "REPEATED"
  elseif job and job.state == "active" and job.fence == fence then
    return "OK", job
  end
  return "STALE"
end
