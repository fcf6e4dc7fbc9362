--[[ ends: the jobs that have ended in this call, the ids by their state: `end_job` notes them, `finish` indexes them. ]]
local ends = {}
