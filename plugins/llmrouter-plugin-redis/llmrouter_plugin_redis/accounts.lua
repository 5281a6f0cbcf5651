-- What the scripts share. KEYS[1] is the prefix of every key, in braces: one slot of a cluster.
--
-- Amounts are decimal texts of whole picodollars. A number of Lua holds 53 bits, some $9,000 of
-- them, so amounts are added and compared as dollars and the rest, each of which is exact.

local prefix = KEYS[1]
local DOLLAR = 1000000000000

local function split(text)
  local length = #text
  if length <= 12 then return 0, tonumber(text) end
  return tonumber(string.sub(text, 1, length - 12)), tonumber(string.sub(text, length - 11))
end

local function join(dollars, rest)
  if dollars == 0 then return string.format('%.0f', rest) end
  return string.format('%.0f%012.0f', dollars, rest)
end

local function plus(a, b)
  local dollars, rest = split(a)
  local more, small = split(b)
  dollars, rest = dollars + more, rest + small
  if rest >= DOLLAR then dollars, rest = dollars + 1, rest - DOLLAR end
  return join(dollars, rest)
end

local function minus(a, b)
  local dollars, rest = split(a)
  local less, small = split(b)
  dollars, rest = dollars - less, rest - small
  if rest < 0 then dollars, rest = dollars - 1, rest + DOLLAR end
  if dollars < 0 then return '0' end
  return join(dollars, rest)
end

local function above(a, b)
  local dollars, rest = split(a)
  local others, small = split(b)
  return dollars > others or (dollars == others and rest > small)
end

-- Returns the wall clock, for days, and one that never goes back, for leases and rates; both in
-- microseconds. Where the wall clock was set back, the other goes on from where it was.
local function clock()
  local time = redis.call('TIME')
  local wall = tonumber(time[1]) * 1000000 + tonumber(time[2])
  local seen = redis.call('HMGET', prefix .. ':clock', 'last', 'ahead')
  local last, ahead = tonumber(seen[1] or wall), tonumber(seen[2] or 0)
  if wall < last then
    ahead = ahead + last - wall
    redis.call('HSET', prefix .. ':clock', 'ahead', string.format('%.0f', ahead))
  end
  redis.call('HSET', prefix .. ':clock', 'last', string.format('%.0f', wall))
  return wall, wall + ahead
end

-- Moves what a call holds on its accounts: `spent` is added, `freed` is no longer reserved.
local function book(accounts, spent, freed, calls, under_way)
  for name in string.gmatch(accounts, '%S+') do
    local key = prefix .. ':account:' .. name
    local found = redis.call('HMGET', key, 'spent', 'reserved')
    if found[1] then
      redis.call('HSET', key, 'spent', plus(found[1], spent), 'reserved', minus(found[2], freed))
      redis.call('HINCRBY', key, 'calls', calls)
      redis.call('HINCRBY', key, 'under_way', under_way)
    end
  end
end

-- Takes leases that ran out off their accounts, and returns whether there were any.
local function expire(now, tombstone)
  local ids = redis.call('ZRANGEBYSCORE', prefix .. ':due', '-inf', string.format('%.0f', now))
  for _, id in ipairs(ids) do
    local key = prefix .. ':lease:' .. id
    local found = redis.call('HMGET', key, 'amount', 'accounts', 'book')
    if found[1] then
      local booked = found[3] == '1'
      book(found[2], booked and found[1] or '0', found[1], booked and 1 or 0, -1)
      redis.call('HSET', key, 'lost', '1')
      redis.call('EXPIRE', key, tombstone)
    end
    redis.call('ZREM', prefix .. ':due', id)
  end
  return #ids > 0
end
