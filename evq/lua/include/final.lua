--[[ final: the indexes of ended jobs, by state.

  KEYS  completed failed cancelled
]]
local final = { ["completed"] = completed, ["failed"] = failed, ["cancelled"] = cancelled }
