--[[ enter_new: write the new jobs, and let those that are not delayed wait: all at once, at the end, or before one of them
  is read.

  KEYS  records waiting
]]
-- @include records
-- @include new_job
-- @include places
local function enter_new()
  local count, scored, grouped, scores = #entering, {}, {}, {}
  if #new_records > 0 then
    redis.call("HSET", records, unpack(new_records))
    for i = 1, #new_records, 2 do
      cached[new_records[i]] = nil
    end
  end
  local place = count > 0 and take_places(count) - count
  for i = 1, count do
    local id, options = entering[i], new_options[entering[i]]
    if options then
      scores[id] = score_of(options.priority or 2048, place + i, options.front)
    end
    if options and options.group then
      grouped[#grouped + 1] = id
    else
      local size = #scored
      scored[size + 1], scored[size + 2] = scores[id] or score_of(2048, place + i), id
    end
  end
  if #scored > 0 then
    redis.call("ZADD", waiting, unpack(scored))
  end
  if #grouped > 0 then
    -- @include wait_in_group
    for _, id in ipairs(grouped) do
      wait_in_group(new_options[id].group, id, scores[id])
    end
  end
  new_records, entering = {}, {}
end
