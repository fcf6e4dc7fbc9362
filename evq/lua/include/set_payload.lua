--[[ set_payload: give a job its payload. A large one is beside the record, so that changes do not copy it; and once it is
  there its successors are, too.

  KEYS  payloads
]]
local function set_payload(id, job, payload)
  job.payload = job.payload and #payload <= 1024 and payload or nil
  if not job.payload then
    redis.call("HSET", payloads, id, payload)
  end
end
