-- Sets how many connections a node has for a user of a presence channel. A number and not a step, so
-- that it may be said again when nobody knows whether it was heard.
-- KEYS: nodes, index of the node, occupied channels, subscriptions by node, connections by user, info by
--       user, connections by node and user, meta, history
-- ARGV: 1 node, 2 generation, 3 entry, 4 channel, 5 user, 6 info, 7 connections, 8 most users or -1,
--       9 '1' if the roster is wanted, 10 topic, 11 event of the user, 12 history length,
--       13 its milliseconds, 14 meta milliseconds, 15 fresh epoch
-- Returns 'gone', 'stale', 'alive' or 'full', or: 'ok', occupancy turned, user turned (1 came, -1 went),
--       subscriptions, users, microseconds; with connections also epoch, serial, roster
local keys = { index = KEYS[2], list = KEYS[3], counts = KEYS[4] }
local users, infos, rows, meta, history = KEYS[5], KEYS[6], KEYS[7], KEYS[8], KEYS[9]
local node, user, connections, most = ARGV[1], ARGV[5], tonumber(ARGV[7]), tonumber(ARGV[8])

local refusal = refused(KEYS[1], node, ARGV[2])
if refusal then
  return { refusal }
end
local present = redis.call('HEXISTS', users, user) == 1
if connections > 0 and not present and most >= 0 and redis.call('HLEN', users) >= most then
  return { 'full' }
end

local row = node .. '|' .. user
local change = connections - tonumber(redis.call('HGET', rows, row) or 0)
local turned = 0
if connections > 0 then
  redis.call('HSET', rows, row, connections)
  redis.call('HSET', infos, user, ARGV[6])
  turned = present and 0 or 1
else
  redis.call('HDEL', rows, row)
end
if change ~= 0 and redis.call('HINCRBY', users, user, change) <= 0 then
  redis.call('HDEL', users, user)
  redis.call('HDEL', infos, user)
  turned = present and -1 or 0
end

local held = tonumber(redis.call('HGET', keys.counts, node) or 0) + change
local total, occupancy = subscribe(keys, node, ARGV[3], ARGV[4], math.max(held, 0))
local epoch, serial = '', 0
if turned ~= 0 then
  epoch, serial = emit(meta, history, ARGV[10], ARGV[11], ARGV[12], ARGV[13], ARGV[14], ARGV[15])
elseif connections > 0 then
  epoch, serial = stand(meta, history, ARGV[14], ARGV[15], true)
end
local roster = {}
if ARGV[9] == '1' then
  roster = redis.call('HGETALL', infos)
end
return { 'ok', occupancy, turned, total, redis.call('HLEN', users), now(), epoch, serial, roster }
