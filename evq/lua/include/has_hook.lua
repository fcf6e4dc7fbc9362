--[[ has_hook: is a hook to be told of this event of a job of that task?

  KEYS  hooked_tasks
]]
local hooked = {}

local function has_hook(task, event)
  local hook = task .. " " .. event
  if hooked[hook] == nil then
    hooked[hook] = redis.call("SISMEMBER", hooked_tasks, hook) == 1
  end
  return hooked[hook]
end
