--[[ forget: delete what is kept of jobs that are in no set any more.

  KEYS  records payloads progress_of log_of waiters_of
]]
-- @include records
local function forget(ids)
  local keys = {}
  for _, id in ipairs(ids) do
    cached[id], changed[id] = false, nil
    for _, prefix in ipairs({ progress_of, log_of, waiters_of }) do
      keys[#keys + 1] = prefix .. id
    end
  end
  if #ids > 0 then
    redis.call("HDEL", records, unpack(ids))
    redis.call("HDEL", payloads, unpack(ids))
    redis.call("UNLINK", unpack(keys))
  end
end
