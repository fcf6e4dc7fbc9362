--[[ read_times: make moments of the times in a job's options: when it is due, by when it must have started, and ended. ]]
local function read_times(options, time)
  local due = math.max(options.at or 0, time + (options.delay or 0))
  return due, options.expires and time + options.expires, options.deadline and time + options.deadline
end
