-- ARGV: microseconds, tombstone, then leases.

local _, now = clock()
local untill = string.format('%.0f', now + tonumber(ARGV[1]))
for place = 3, #ARGV do
  redis.call('ZADD', prefix .. ':due', 'XX', untill, ARGV[place]) -- a lost one stays lost
end
expire(now, ARGV[2])
return 0
