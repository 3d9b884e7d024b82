-- Tells where a channel stands and a page of what it keeps, at one moment.
-- KEYS: 1 meta 2 history
-- ARGV: 1 first serial 2 most entries 3 most bytes of envelopes, of which the first may have more
-- Returns: epoch or nil, serial or nil, a list of ids and envelopes by turns, 1 if that many bytes cut it short
local at = redis.call('HMGET', KEYS[1], 'e', 's')
local page, left, cut = {}, tonumber(ARGV[3]), 0
for _, entry in ipairs(redis.call('XRANGE', KEYS[2], ARGV[1] .. '-0', '+', 'COUNT', ARGV[2])) do
  local envelope = entry[2][2]
  left = left - #envelope
  if left < 0 and #page > 0 then
    cut = 1
    break
  end
  page[#page + 1] = entry[1]
  page[#page + 1] = envelope
end
return {at[1], at[2], page, cut}
