-- What the scripts of membership share about connections.

-- Takes a node's connections from those of all.
local function withdraw(all, own)
  local apps = redis.call('HGETALL', own)
  for index = 1, #apps, 2 do
    if redis.call('HINCRBY', all, apps[index], -tonumber(apps[index + 1])) <= 0 then
      redis.call('HDEL', all, apps[index])
    end
  end
  redis.call('DEL', own)
end
