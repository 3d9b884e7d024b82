-- Follows sequence.lua. Publishes an event and, where it is told to, remembers it as the channel's last.
-- What could fail fails first, so that an error says that nothing went out.
-- KEYS: 1 meta 2 history 3 cached
-- ARGV: 1 topic 2 payload 3 maxlen 4 ttl_ms 5 meta_ttl_ms 6 fresh_epoch 7 cache_ms (0 = do not remember)
-- An event of a request that may come again has 8 the request's digest 9 its place in the request 10 how long to
-- know of it (ms), and KEYS 4, where that is known: what is there is not published again.
if ARGV[8] then
  local known = redis.call('HMGET', KEYS[4], 'r', ARGV[9])
  if known[1] and known[1] ~= ARGV[8] then
    return redis.status_reply('DIFFERENT')
  elseif known[2] then
    return redis.status_reply('REPEATED')
  end
end
if ARGV[7] ~= '0' then
  redis.call('HLEN', KEYS[3])
end
local epoch, serial = emit(KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6])
if ARGV[7] ~= '0' then
  local now = redis.call('TIME')
  local ends = now[1] * 1000 + math.floor(now[2] / 1000) + ARGV[7]
  redis.call('HSET', KEYS[3], 'p', ARGV[2], 'x', ends)
  redis.call('PEXPIRE', KEYS[3], ARGV[7])
end
if ARGV[8] then
  redis.call('HSET', KEYS[4], 'r', ARGV[8], ARGV[9], '')
  redis.call('PEXPIRE', KEYS[4], ARGV[10])
end
return {epoch, serial}
