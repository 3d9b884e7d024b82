-- Forgets a dead node that has nothing left.
-- KEYS: the dead, index of the node, connections by application, the node's connections by application
-- ARGV: 1 node
-- Returns 0 while there is something left, else 1
if redis.call('HLEN', KEYS[2]) > 0 then
  return 0
end
local apps = redis.call('HGETALL', KEYS[4])
for index = 1, #apps, 2 do
  if redis.call('HINCRBY', KEYS[3], apps[index], -tonumber(apps[index + 1])) <= 0 then
    redis.call('HDEL', KEYS[3], apps[index])
  end
end
redis.call('DEL', KEYS[4])
redis.call('HDEL', KEYS[1], ARGV[1])
return 1
