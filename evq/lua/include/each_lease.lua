--[[ each_lease: do `act` to each job of EACH whose lease the caller still holds. Returns a word a job: OK unless `act`
  gives another. The caller has read the jobs.
]]
-- @include check_lease
local function each_lease(act)
  local words, item = {}, each()
  local function one(id, fence, ...)
    if id then
      local word, job = check_lease(id, fence)
      words[#words + 1] = job and act(id, job, fence, ...) or word
    end
    return id
  end
  while one(item()) do end
  return words
end
