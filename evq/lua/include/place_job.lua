--[[ place_job: let a new job wait, or be delayed until it is due. Those that wait go to the others with `enter_waiting`,
  all at once: at the end, or before one of them is changed.

  KEYS  waiting delayed deadlines
]]
-- @include records
-- @include places
local entering, fronts = {}, {}

local function place_deadline(id, job)
  local expires, deadline = job.rare.expires, job.rare.deadline
  if expires or deadline then
    redis.call("ZADD", deadlines, math.min(expires or math.huge, deadline or math.huge), id)
  end
end

local function place_job(id, job, front)
  place_deadline(id, job)
  if job.state == "delayed" then
    redis.call("ZADD", delayed, job.due, id)
  else
    entering[#entering + 1], fronts[id] = id, front
  end
end

local function enter_waiting()
  local scored, grouped, scores = {}, {}, {}
  local last = #entering > 0 and take_places(#entering)
  for i, id in ipairs(entering) do
    local job = read_job(id)
    local score = score_of(job, last - #entering + i, fronts[id])
    if job.rare.group then
      grouped[#grouped + 1], scores[id] = id, score
    else
      scored[#scored + 1], scored[#scored + 2] = score, id
    end
  end
  if #scored > 0 then
    redis.call("ZADD", waiting, unpack(scored))
  end
  if #grouped > 0 then
    -- @include to_waiting
    for _, id in ipairs(grouped) do
      to_waiting(id, read_job(id), nil, scores[id])
    end
  end
  entering = {}
end
