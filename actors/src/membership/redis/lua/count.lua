-- Follows sequence.lua and rows.lua. Sets how many subscriptions a node has in a channel. An occupancy that
-- changed is told in the channel's sequence, where it is told at all.
-- KEYS: nodes, index of the node, occupied channels, subscriptions by node, connections by user, meta, history
-- ARGV: 1 node, 2 generation, 3 entry, 4 channel, 5 subscriptions, 6 topic, 7 event of the occupancy or '',
--       8 history length, 9 its milliseconds, 10 meta milliseconds, 11 fresh epoch
-- Returns 'gone', 'stale' or 'alive', or: 'ok', occupancy turned, subscriptions, users, microseconds
local refusal = refused(KEYS[1], ARGV[1], ARGV[2])
if refusal then
  return { refusal }
end
local keys = { index = KEYS[2], list = KEYS[3], counts = KEYS[4] }
local total, occupancy = subscribe(keys, ARGV[1], ARGV[3], ARGV[4], tonumber(ARGV[5]))
if occupancy ~= 0 and ARGV[7] ~= '' then
  emit(KEYS[6], KEYS[7], ARGV[6], ARGV[7], ARGV[8], ARGV[9], ARGV[10], ARGV[11])
end
return { 'ok', occupancy, total, redis.call('HLEN', KEYS[5]), now() }
