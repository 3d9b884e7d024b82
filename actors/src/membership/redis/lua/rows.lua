-- What the scripts of membership share: who may write, and what a channel's subscriptions come to.

-- Tells why a node may not write: it is 'gone' (nobody, or declared dead), or speaks over a connection
-- that it has given up ('stale'). With the generation '-' somebody writes on behalf of a dead node,
-- which must not be 'alive'. Returns nothing when it may.
local function refused(nodes, node, generation)
  local lease = redis.call('HGET', nodes, node)
  if generation == '-' then
    return lease and 'alive'
  end
  if not lease then
    return 'gone'
  end
  return string.match(lease, '^%d+') ~= generation and 'stale'
end

-- Returns the time in microseconds.
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

-- Returns where a channel stands; one that has no place in this Redis yet gets one, if it is to be kept.
local function stand(meta, history, meta_ttl_ms, fresh_epoch, is_kept)
  local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
  local known = redis.call('HMGET', meta, 'e', 'r', 's')
  local epoch, serial = known[1], tonumber(known[3] or 0)
  local is_known = epoch and known[2] == run
  if not is_known then
    epoch, serial = fresh_epoch, 0
  end
  if is_kept then
    if not is_known then
      redis.call('DEL', meta, history)
      redis.call('HSET', meta, 'e', epoch, 'r', run)
    end
    redis.call('PEXPIRE', meta, meta_ttl_ms)
  end
  return epoch, serial
end

-- Sets how many subscriptions a node has in a channel. Returns the channel's total, and 1 if that made
-- it occupied, -1 if it vacated it.
local function subscribe(keys, node, entry, channel, subscriptions)
  local change = subscriptions - tonumber(redis.call('HGET', keys.counts, node) or 0)
  if subscriptions > 0 then
    redis.call('HSET', keys.counts, node, subscriptions)
    redis.call('HSET', keys.index, entry, 1)
  else
    redis.call('HDEL', keys.counts, node)
    redis.call('HDEL', keys.index, entry)
  end
  if change == 0 then
    return tonumber(redis.call('HGET', keys.list, channel) or 0), 0
  end
  local total = redis.call('HINCRBY', keys.list, channel, change)
  local turned = 0
  if total <= 0 then
    redis.call('HDEL', keys.list, channel)
    total, turned = 0, -1
  elseif total == change then
    turned = 1
  end
  return total, turned
end
