--[[ lateness: the error of a job that may not run any more at a moment, JSON, or nil.

  `expires` is when it must have started for the first time, `deadline` when it must have ended.
]]
local function lateness(job, moment)
  local expires, deadline = job.rare.expires, job.rare.deadline
  if deadline and moment >= deadline then
    return '{"type":"DeadlineExceeded","message":"the job had not ended by its deadline","traceback":""}'
  elseif expires and job.fence == 0 and moment >= expires then
    return '{"type":"Expired","message":"the job had not started before it expired","traceback":""}'
  end
end
