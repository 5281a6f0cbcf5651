-- ARGV: name, digest, record. Returns whether the name was free.

if redis.call('HSETNX', prefix .. ':names', ARGV[1], ARGV[2]) == 0 then return 0 end
redis.call('HSET', prefix .. ':keys', ARGV[2], ARGV[3])
return 1
