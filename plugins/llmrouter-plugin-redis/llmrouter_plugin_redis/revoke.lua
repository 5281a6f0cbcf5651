-- ARGV: name, digest, record as it was, record as it shall be. Returns whether it was as it was.

if redis.call('HGET', prefix .. ':keys', ARGV[2]) ~= ARGV[3] then return 0 end
redis.call('HSET', prefix .. ':keys', ARGV[2], ARGV[4])
redis.call('HDEL', prefix .. ':names', ARGV[1])
return 1
