-- ARGV: lease, amount, microseconds, book, tombstone, seconds that the account of a day is kept,
-- then six for each account: name, daily, dollars, calls, calls at once, calls a minute.
-- Returns nothing where all was reserved, else: account, reason, microseconds, spent, reserved.

local MINUTE, DAY, MOMENT = 60000000, 86400000000, '1000000'
local lease, amount = prefix .. ':lease:' .. ARGV[1], ARGV[2]
if redis.call('EXISTS', lease) == 1 then return {} end
local wall, now = clock()
local today = math.floor(wall / DAY)
local midnight = string.format('%.0f', DAY - wall % DAY)

local function try()
  local names, keys = {}, {}
  for first = 7, #ARGV, 6 do
    local name, daily = ARGV[first], ARGV[first + 1] == '1'
    local dollars, calls = ARGV[first + 2], tonumber(ARGV[first + 3])
    local at_once, per_minute = tonumber(ARGV[first + 4]), tonumber(ARGV[first + 5])
    if daily then name = name .. ':' .. string.format('%.0f', today) end
    local key = prefix .. ':account:' .. name
    local found = redis.call('HMGET', key, 'spent', 'reserved', 'calls', 'under_way', 'free_at')
    local spent, reserved = found[1] or '0', found[2] or '0'
    local ended, under_way = tonumber(found[3] or 0), tonumber(found[4] or 0)
    local later = daily and midnight or ''

    local function no(reason, wait)
      return {(first - 7) / 6, reason, wait, spent, reserved}
    end

    if dollars ~= '' and amount ~= '0' and above(plus(plus(spent, reserved), amount), dollars) then
      if above(amount, dollars) then later = '' end
      if not above(plus(spent, amount), dollars) then later = MOMENT end
      return no('dollars', later)
    end
    if calls and ended + under_way >= calls then
      return no('calls', ended >= calls and later or MOMENT)
    end
    if at_once and under_way >= at_once then return no('calls_at_once', MOMENT) end
    local free_at = 0
    if per_minute then
      local full = tonumber(found[5] or 0)
      if full > now + MINUTE then full = now end
      free_at = math.max(full, now) + math.floor(MINUTE / per_minute)
      if free_at - now > MINUTE then
        return no('calls_per_minute', string.format('%.0f', free_at - now - MINUTE))
      end
    end
    names[#names + 1] = name
    keys[#keys + 1] = {key, daily, plus(reserved, amount), spent, free_at}
  end
  for _, one in ipairs(keys) do
    redis.call('HSET', one[1], 'reserved', one[3], 'spent', one[4],
      'free_at', string.format('%.0f', one[5]))
    redis.call('HINCRBY', one[1], 'under_way', 1)
    if one[2] then redis.call('EXPIRE', one[1], ARGV[6]) end
  end
  redis.call('HSET', lease, 'amount', amount, 'accounts', table.concat(names, ' '),
    'book', ARGV[4])
  redis.call('ZADD', prefix .. ':due', string.format('%.0f', now + tonumber(ARGV[3])), ARGV[1])
  return {}
end

local refused = try()
if #refused > 0 and expire(now, ARGV[5]) then refused = try() end
return refused
