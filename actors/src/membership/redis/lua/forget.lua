-- Forgets a dead node that has nothing left. Its connections are over in any case.
-- KEYS: the dead, index of the node, connections by application, the node's connections by application
-- ARGV: 1 node
-- Returns 0 while there is something left, else 1
withdraw(KEYS[3], KEYS[4])
if redis.call('HLEN', KEYS[2]) > 0 then
  return 0
end
redis.call('HDEL', KEYS[1], ARGV[1])
return 1
