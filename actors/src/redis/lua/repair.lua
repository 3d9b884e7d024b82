-- Tells where a channel stands and a page of what it keeps, at one moment.
-- KEYS: 1 meta 2 history
-- ARGV: 1 first serial 2 most entries
-- Returns: epoch or nil, serial or nil, a list of ids and envelopes by turns
local at = redis.call('HMGET', KEYS[1], 'e', 's')
local page = {}
for _, entry in ipairs(redis.call('XRANGE', KEYS[2], ARGV[1] .. '-0', '+', 'COUNT', ARGV[2])) do
  page[#page + 1] = entry[1]
  page[#page + 1] = entry[2][2]
end
return {at[1], at[2], page}
