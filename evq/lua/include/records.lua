--[[ records: read the records of jobs, and save them: each once in a call, however often it is looked at and changed.

  `save_jobs` ends every script that calls `save_job`. What cannot be read is no record: a script that has taken jobs from
  a set must not stumble over one of them, or the others would be lost.

  KEYS  records
]]
-- @include pack_job
local cached, changed = {}, {}

local function read_jobs(ids)
  local unread, count = {}, 0
  for i = 1, #ids do
    if cached[ids[i]] == nil then
      count = count + 1
      unread[count] = ids[i]
    end
  end
  local packed = count > 0 and redis.call("HMGET", records, unpack(unread))
  for i = 1, count do
    local read, job = false, false
    if packed[i] then
      read, job = pcall(unpack_job, packed[i])
    end
    cached[unread[i]] = read and job
  end
end

local function read_job(id)
  if cached[id] == nil then
    read_jobs({ id })
  end
  return cached[id] or nil
end

local function save_job(id, job)
  cached[id], changed[id] = job, job
end

local function save_jobs()
  local packed = {}
  for id, job in pairs(changed) do
    packed[#packed + 1] = id
    packed[#packed + 1] = pack_job(job)
  end
  if #packed > 0 then
    redis.call("HSET", records, unpack(packed))
  end
end
