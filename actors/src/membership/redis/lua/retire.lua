-- Declares a node dead: from now on it may write nothing, and any reaper may clear what it has left.
-- KEYS: nodes, the dead
-- ARGV: 1 node
-- Returns 1 if it was alive
local lived = redis.call('HDEL', KEYS[1], ARGV[1])
if lived == 1 then
  redis.call('HSET', KEYS[2], ARGV[1], 0)
end
return lived
