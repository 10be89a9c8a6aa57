-- Complete, release and claim, in this order; or purge. Every run is atomic.
--
-- KEYS[1]  sorted set: every member that is handled or being handled, by the time of its claim
-- KEYS[2]  hash: of what is being handled, whose it is; what is in the first and not in here is handled
-- KEYS[3]  hash: how many members each subscription has, where it has any
-- KEYS[4]  the owner's sign of life, which expires
-- ARGV     owner, its lease in ms, prefix of owners' keys, now, how many to complete, to release, to claim;
--          and then the members
--
-- Answers with a text of one digit for each claim (1 ours, 2 handled, 3 held), and with those that were to be
-- completed and are another's.
local owner, lease, owners, now = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local at = 7
redis.call('SET', KEYS[4], '1', 'PX', lease)

local known = {}
local function count(member, difference)
    local subscription = string.match(member, '^[^\n]*')
    known[subscription] = (known[subscription] or 0) + difference
end

-- As many at a time as one command takes.
local function by_the_thousand(number, work)
    local last = at + number
    while at < last do
        local first = at + 1
        at = math.min(at + 1000, last)
        work(first, at, redis.call('HMGET', KEYS[2], unpack(ARGV, first, at)))
    end
end

local lost = {}
by_the_thousand(tonumber(ARGV[5]), function(first, last, holders)
    local done = {}
    for place = first, last do
        local member, holder = ARGV[place], holders[place - first + 1]
        if holder == owner then
            done[#done + 1] = member
        elseif holder then
            lost[#lost + 1] = member
        else
            -- Where it was forgotten meanwhile it is handled all the same.
            count(member, redis.call('ZADD', KEYS[1], 'NX', now, member))
        end
    end
    if #done > 0 then
        redis.call('HDEL', KEYS[2], unpack(done))
    end
end)

by_the_thousand(tonumber(ARGV[6]), function(first, last, holders)
    for place = first, last do
        if holders[place - first + 1] == owner then
            redis.call('HDEL', KEYS[2], ARGV[place])
            count(ARGV[place], -redis.call('ZREM', KEYS[1], ARGV[place]))
        end
    end
end)

local function times(first, last)
    local found = redis.pcall('ZMSCORE', KEYS[1], unpack(ARGV, first, last))
    if found.err then -- before Redis 6.2
        for place = first, last do
            found[place - first + 1] = redis.call('ZSCORE', KEYS[1], ARGV[place])
        end
    end
    return found
end

local claims = {}
by_the_thousand(tonumber(ARGV[7]), function(first, last, holders)
    local claimed_at = times(first, last)
    local taken, ages = {}, {}
    for place = first, last do
        local member, holder = ARGV[place], holders[place - first + 1]
        local before = claimed_at[place - first + 1]
        local claim = '1'
        if holder and holder ~= owner and redis.call('EXISTS', owners .. holder) == 1 then
            claim = '3'
        elseif not holder and before then
            claim = '2'
        elseif holder ~= owner then
            taken[#taken + 1], taken[#taken + 2] = member, owner
            ages[#ages + 1], ages[#ages + 2] = now, member
            count(member, before and 0 or 1)
        end
        claims[#claims + 1] = claim
    end
    if #taken > 0 then
        redis.call('HSET', KEYS[2], unpack(taken))
        redis.call('ZADD', KEYS[1], unpack(ages))
    end
end)

for subscription, difference in pairs(known) do
    if difference ~= 0 and redis.call('HINCRBY', KEYS[3], subscription, difference) <= 0 then
        redis.call('HDEL', KEYS[3], subscription)
    end
end
return {table.concat(claims), lost}
