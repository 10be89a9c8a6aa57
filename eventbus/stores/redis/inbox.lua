-- Complete, release and claim, in this order; or purge. Every run is atomic.
--
-- KEYS[1]  sorted set: every member that is handled or being handled, by the time of its claim
-- KEYS[2]  hash: of what is being handled, whose it is; what is in the first and not in here is handled
-- KEYS[3]  the owner's sign of life, which expires
-- ARGV     owner, its lease in ms, prefix of owners' keys, now, how many to complete, to release, to claim;
--          and then the members
local owner, lease, owners, now = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local at = 7
redis.call('SET', KEYS[3], '1', 'PX', lease)

local lost = {}
for _ = 1, tonumber(ARGV[5]) do
    at = at + 1
    local holder = redis.call('HGET', KEYS[2], ARGV[at])
    if holder == owner then
        redis.call('HDEL', KEYS[2], ARGV[at])
    elseif holder then
        lost[#lost + 1] = ARGV[at]
    else
        redis.call('ZADD', KEYS[1], 'NX', now, ARGV[at])  -- forgotten meanwhile: it is handled all the same
    end
end

for _ = 1, tonumber(ARGV[6]) do
    at = at + 1
    if redis.call('HGET', KEYS[2], ARGV[at]) == owner then
        redis.call('HDEL', KEYS[2], ARGV[at])
        redis.call('ZREM', KEYS[1], ARGV[at])
    end
end

-- What became of each claim: 1 ours, 2 handled, 3 held.
local claims = {}
for _ = 1, tonumber(ARGV[7]) do
    at = at + 1
    local holder = redis.call('HGET', KEYS[2], ARGV[at])
    local claim = 1
    if holder and holder ~= owner and redis.call('EXISTS', owners .. holder) == 1 then
        claim = 3
    elseif not holder and redis.call('ZSCORE', KEYS[1], ARGV[at]) then
        claim = 2
    elseif holder ~= owner then
        redis.call('HSET', KEYS[2], ARGV[at], owner)
        redis.call('ZADD', KEYS[1], now, ARGV[at])
    end
    claims[#claims + 1] = claim
end
return {claims, lost}
