-- Reads who is in a presence channel, and where the channel stands at that moment.
-- KEYS: meta, history, occupied channels, info by user
-- ARGV: 1 channel, 2 meta milliseconds, 3 fresh epoch
-- Returns 'ok', subscriptions, users, microseconds, epoch, serial, roster
local users = redis.call('HLEN', KEYS[4])
-- whoever asks about a channel that nobody is in leaves no trace
local epoch, serial = stand(KEYS[1], KEYS[2], ARGV[2], ARGV[3], users > 0)
local subscriptions = tonumber(redis.call('HGET', KEYS[3], ARGV[1]) or 0)
return { 'ok', subscriptions, users, now(), epoch, serial, redis.call('HGETALL', KEYS[4]) }
