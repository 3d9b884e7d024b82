-- Starts or renews the lease of a node, by the clock of this Redis alone.
-- What it has told of connections under an earlier name is over.
-- KEYS: nodes, the dead, connections by application, the node's connections by application,
--       those of its earlier name, or the same once more
-- ARGV: 1 node, 2 generation, 3 milliseconds, 4 '1' if the node is new here, then pairs: application, connections
-- Returns 'gone' or 'stale', or: 'ok', run id of this Redis, connections by application
local node, generation = ARGV[1], ARGV[2]
local lease = redis.call('HGET', KEYS[1], node)
if redis.call('HEXISTS', KEYS[2], node) == 1 or (not lease and ARGV[4] ~= '1') then
  return { 'gone' }
end
if lease and tonumber(string.match(lease, '^%d+')) > tonumber(generation) then
  return { 'stale' }
end
-- A full Redis refuses what needs room, but not in a script that has written: a lease costs no room, and without
-- it everybody would be declared dead.
redis.call('HDEL', KEYS[1], '')
local time = redis.call('TIME')
local ends = time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[3])
redis.call('HSET', KEYS[1], node, string.format('%s:%.0f', generation, ends))
if KEYS[5] ~= KEYS[4] then
  withdraw(KEYS[3], KEYS[5])
end
for index = 5, #ARGV, 2 do
  local app, connections = ARGV[index], tonumber(ARGV[index + 1])
  local change = connections - tonumber(redis.call('HGET', KEYS[4], app) or 0)
  if change ~= 0 then
    redis.call('HSET', KEYS[4], app, connections)
    redis.call('HINCRBY', KEYS[3], app, change)
  end
end
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
return { 'ok', run, redis.call('HGETALL', KEYS[3]) }
