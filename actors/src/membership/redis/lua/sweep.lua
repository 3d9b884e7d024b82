-- Declares every node dead whose lease has ended, and claims one of the dead for a while. A reaper that
-- dies loses its claim with time; two that work on one node do no harm. Where Redis was away, or stood
-- still, the leases of the living have ended too: a reaper declares nobody dead before it has looked
-- again and again for a while, in which they renew them. A look counts only where Redis takes a write of the sort
-- that a renewal begins with: where it takes none, the leases of the living end as well.
-- KEYS: nodes, the dead
-- ARGV: 1 milliseconds of a claim, 2 when this reaper first looked, 3 when it last looked,
--       4 the most milliseconds since then, 5 the least since it first looked
-- Returns the time in milliseconds, how many were declared dead now, and the claimed node if there is one
redis.call('HDEL', KEYS[1], '')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local declared = 0
if now - tonumber(ARGV[3]) <= tonumber(ARGV[4]) and now - tonumber(ARGV[2]) >= tonumber(ARGV[5]) then
  local nodes = redis.call('HGETALL', KEYS[1])
  for index = 1, #nodes, 2 do
    if tonumber(string.match(nodes[index + 1], ':(%d+)$') or 0) <= now then
      redis.call('HDEL', KEYS[1], nodes[index])
      redis.call('HSET', KEYS[2], nodes[index], 0)
      declared = declared + 1
    end
  end
end
local dead = redis.call('HGETALL', KEYS[2])
for index = 1, #dead, 2 do
  if tonumber(dead[index + 1]) <= now then
    redis.call('HSET', KEYS[2], dead[index], string.format('%.0f', now + tonumber(ARGV[1])))
    return { now, declared, dead[index] }
  end
end
return { now, declared }
