-- Complete, release and claim, in this order; or purge. Every run is atomic.
--
-- KEYS[1]  sorted set: every member that is handled or being handled, by the time of its claim
-- KEYS[2]  hash: of what is being handled, whose it is; what is in the first and not in here is handled
-- KEYS[3]  hash: how many members each subscription has, where it has any
-- KEYS[4]  the owner's sign of life, which expires
-- ARGV     owner, its lease in ms, prefix of owners' keys, now, how many to complete, to release, to claim;
--          and then the members
local owner, lease, owners, now = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local at = 7
redis.call('SET', KEYS[4], '1', 'PX', lease)

local known = {}
local function count(member, difference)
    local subscription = string.match(member, '^[^\n]*')
    known[subscription] = (known[subscription] or 0) + difference
end

local lost = {}
for _ = 1, tonumber(ARGV[5]) do
    at = at + 1
    local holder = redis.call('HGET', KEYS[2], ARGV[at])
    if holder == owner then
        redis.call('HDEL', KEYS[2], ARGV[at])
    elseif holder then
        lost[#lost + 1] = ARGV[at]
    else
        -- Where it was forgotten meanwhile it is handled all the same.
        count(ARGV[at], redis.call('ZADD', KEYS[1], 'NX', now, ARGV[at]))
    end
end

for _ = 1, tonumber(ARGV[6]) do
    at = at + 1
    if redis.call('HGET', KEYS[2], ARGV[at]) == owner then
        redis.call('HDEL', KEYS[2], ARGV[at])
        count(ARGV[at], -redis.call('ZREM', KEYS[1], ARGV[at]))
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
        count(ARGV[at], redis.call('ZADD', KEYS[1], now, ARGV[at]))
    end
    claims[#claims + 1] = claim
end

for subscription, difference in pairs(known) do
    if difference ~= 0 and redis.call('HINCRBY', KEYS[3], subscription, difference) <= 0 then
        redis.call('HDEL', KEYS[3], subscription)
    end
end
return {claims, lost}
