-- Sets how many subscriptions a node has in a channel.
-- KEYS: nodes, index of the node, occupied channels, subscriptions by node, connections by user
-- ARGV: 1 node, 2 generation, 3 entry, 4 channel, 5 subscriptions, 6 topic, 7 event of the occupancy or ''
-- Returns 'gone', 'stale' or 'alive', or: 'ok', occupancy turned, subscriptions, users, microseconds
local refusal = refused(KEYS[1], ARGV[1], ARGV[2])
if refusal then
  return { refusal }
end
local keys = { index = KEYS[2], list = KEYS[3], counts = KEYS[4] }
local total, occupancy = subscribe(keys, ARGV[1], ARGV[3], ARGV[4], tonumber(ARGV[5]), ARGV[6], ARGV[7])
return { 'ok', occupancy, total, redis.call('HLEN', KEYS[5]), now() }
