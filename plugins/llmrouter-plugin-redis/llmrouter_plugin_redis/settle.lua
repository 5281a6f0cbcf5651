-- ARGV: lease, amount, calls. Asked again, it does nothing.

local lease, amount, calls = prefix .. ':lease:' .. ARGV[1], ARGV[2], tonumber(ARGV[3])
local found = redis.call('HMGET', lease, 'amount', 'accounts', 'book', 'lost')
if not found[1] then return 0 end
redis.call('DEL', lease)
redis.call('ZREM', prefix .. ':due', ARGV[1])
if not found[4] then
  book(found[2], amount, found[1], calls, -1)
elseif found[3] == '1' then -- it was booked in full when it ran out
  for name in string.gmatch(found[2], '%S+') do
    local key = prefix .. ':account:' .. name
    local spent = redis.call('HGET', key, 'spent')
    if spent then redis.call('HSET', key, 'spent', minus(plus(spent, amount), found[1])) end
  end
  book(found[2], '0', '0', calls - 1, 0)
else
  book(found[2], amount, '0', calls, 0)
end
return 1
