-- Tells where a channel stands and what it remembers, at one moment.
-- KEYS: 1 meta 2 cached
-- Returns: epoch or nil, serial or nil, remembered envelope or nil, ms that it is still remembered
local at = redis.call('HMGET', KEYS[1], 'e', 's')
local kept = redis.call('HMGET', KEYS[2], 'p', 'x')
local left = 0
if kept[2] then
  local now = redis.call('TIME')
  left = kept[2] - now[1] * 1000 - math.floor(now[2] / 1000)
end
return {at[1], at[2], kept[1], left}
