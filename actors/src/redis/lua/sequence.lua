-- Follows a line that names the command `publish`.
-- Gives what is told of a channel its next position, keeps it for nodes that miss it, and publishes it.
-- An epoch belongs to one run of one server: after a restart or a failover the serials begin anew under
-- a new epoch, so that no position ever names two events.
local function emit(meta, history, topic, payload, maxlen, ttl_ms, meta_ttl_ms, fresh_epoch)
  if maxlen ~= '0' then
    redis.call('XLEN', history) -- fails for what is no stream, before a serial is spent
  end
  local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
  local known = redis.call('HMGET', meta, 'e', 'r')
  local epoch = known[1]
  if not epoch or known[2] ~= run then
    epoch = fresh_epoch
    redis.call('HSET', meta, 'e', epoch) -- a full server refuses this, but nothing that follows a DEL
    redis.call('DEL', meta, history)
    redis.call('HSET', meta, 'e', epoch, 'r', run)
  end
  local serial = redis.call('HINCRBY', meta, 's', 1)
  redis.call('PEXPIRE', meta, meta_ttl_ms)
  if maxlen ~= '0' then
    redis.call('XADD', history, 'MAXLEN', '~', maxlen, serial .. '-0', 'p', payload)
    redis.call('PEXPIRE', history, ttl_ms)
  end
  redis.call(publish, topic, epoch .. ':' .. serial .. ':' .. payload)
  return epoch, serial
end
