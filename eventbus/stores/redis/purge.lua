-- KEYS as in inbox.lua. ARGV: claimed before this, at most so many. Answers how many are forgotten.
local aged = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[1], 'LIMIT', 0, ARGV[2])
for _, member in ipairs(aged) do
    redis.call('ZREM', KEYS[1], member)
    redis.call('HDEL', KEYS[2], member)
    local subscription = string.match(member, '^[^\n]*')
    if redis.call('HINCRBY', KEYS[3], subscription, -1) <= 0 then
        redis.call('HDEL', KEYS[3], subscription)
    end
end
return #aged
