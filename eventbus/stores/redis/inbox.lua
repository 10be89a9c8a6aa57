-- Complete, release and claim, in this order; or purge. Every run is atomic.
--
-- KEYS[1]  sorted set: every member that is handled or being handled, by the time of its claim
-- KEYS[2]  hash: of what is being handled, whose it is; what is in the first and not in here is handled
-- KEYS[3]  hash: how many members each subscription has, where it has any
-- KEYS[4]  the owner's sign of life, which expires
-- ARGV     owner, its lease in ms, prefix of owners' keys, now; and the members in JSON, in three lists: to
--          complete, to release, to claim. As arguments of their own each would cost both sides more.
--
-- Answers with a text of one digit for each claim (1 ours, 2 handled, 3 held), and with those that were to be
-- completed and are another's.
local owner, lease, owners, now = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local completing, releasing, claiming = unpack(cjson.decode(ARGV[5]))
redis.call('SET', KEYS[4], '1', 'PX', lease)

local known = {}
local function count(member, difference)
    local subscription = string.match(member, '^[^\n]*')
    known[subscription] = (known[subscription] or 0) + difference
end

-- As many at a time as one command takes.
local function by_the_thousand(members, work)
    for first = 1, #members, 1000 do
        local last = math.min(first + 999, #members)
        work(first, last, redis.call('HMGET', KEYS[2], unpack(members, first, last)))
    end
end

local lost = {}
by_the_thousand(completing, function(first, last, holders)
    local done = {}
    for place = first, last do
        local member, holder = completing[place], holders[place - first + 1]
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

by_the_thousand(releasing, function(first, last, holders)
    for place = first, last do
        if holders[place - first + 1] == owner then
            redis.call('HDEL', KEYS[2], releasing[place])
            count(releasing[place], -redis.call('ZREM', KEYS[1], releasing[place]))
        end
    end
end)

local function times(first, last)
    local found = redis.pcall('ZMSCORE', KEYS[1], unpack(claiming, first, last))
    if found.err then -- before Redis 6.2
        for place = first, last do
            found[place - first + 1] = redis.call('ZSCORE', KEYS[1], claiming[place])
        end
    end
    return found
end

local claims = {}
by_the_thousand(claiming, function(first, last, holders)
    local claimed_at = times(first, last)
    local taken, ages = {}, {}
    for place = first, last do
        local member, holder = claiming[place], holders[place - first + 1]
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
