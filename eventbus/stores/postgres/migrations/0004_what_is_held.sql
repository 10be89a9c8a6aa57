-- `claims` has a letter for each that was to be claimed: O ours, D handled, H held. `lost` are places among
-- those to complete. Keys come in one order from everybody, so that no two of these wait for each other;
-- claiming is first, for it is all that waits for others at all. It does not wait for transactions of
-- handlers: what one of them has in its hand is held, be it of a process that is dead by now, or one of our
-- own whose COMMIT nobody has answered. Whether that was committed shows when it has ended.
CREATE OR REPLACE FUNCTION {schema}.exchange(
    taker bigint, moment bigint, lease double precision,
    claim_subscriptions text[], claim_ids text[], claim_replays text[],
    complete_subscriptions text[], complete_ids text[], complete_replays text[],
    release_subscriptions text[], release_ids text[], release_replays text[],
    OUT claims text, OUT lost integer[]
) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    entered integer;
    dead bigint[];
    at_rest bigint[];
BEGIN
    claims := '';
    lost := '{}';
    -- One that was frozen says first that it lives: what it claims now must not count as a dead one's.
    IF NOT EXISTS (SELECT FROM {schema}.owner WHERE id = taker AND expires_at > clock_timestamp()) THEN
        UPDATE {schema}.owner SET expires_at = clock_timestamp() + make_interval(secs => lease) WHERE id = taker;
    END IF;
    IF cardinality(claim_ids) > 0 THEN
        INSERT INTO {schema}.inbox (subscription, event_id, replay, owner, claimed_at)
        SELECT asked.subscription, asked.event_id, asked.replay, taker, moment
        FROM unnest(claim_subscriptions, claim_ids, claim_replays) AS asked (subscription, event_id, replay)
        WHERE NOT EXISTS (
            SELECT FROM {schema}.inbox AS found WHERE found.subscription = asked.subscription
                AND found.event_id = asked.event_id AND found.replay = asked.replay
        )
        ON CONFLICT DO NOTHING;
        GET DIAGNOSTICS entered = ROW_COUNT;
        IF entered = cardinality(claim_ids) THEN
            claims := repeat('O', entered);
        ELSE
            SELECT array_agg(DISTINCT claim.owner) INTO dead
            FROM unnest(claim_subscriptions, claim_ids, claim_replays) AS asked (subscription, event_id, replay)
            JOIN {schema}.inbox AS claim USING (subscription, event_id, replay)
            WHERE claim.owner IS NOT NULL AND claim.owner <> taker AND NOT EXISTS (
                SELECT FROM {schema}.owner
                WHERE owner.id = claim.owner AND owner.expires_at > clock_timestamp()
            );
            IF dead IS NOT NULL THEN  -- of two that take over at once, the second finds it held, or the first one's
                WITH left_behind AS (
                    SELECT claim.subscription, claim.event_id, claim.replay
                    FROM unnest(claim_subscriptions, claim_ids, claim_replays)
                        AS asked (subscription, event_id, replay)
                    JOIN {schema}.inbox AS claim USING (subscription, event_id, replay)
                    WHERE claim.owner = ANY (dead)
                    FOR NO KEY UPDATE OF claim SKIP LOCKED
                )
                UPDATE {schema}.inbox AS claim SET owner = taker, claimed_at = moment
                FROM left_behind AS found
                WHERE claim.subscription = found.subscription AND claim.event_id = found.event_id
                    AND claim.replay = found.replay;
            END IF;
            WITH found AS (
                SELECT asked.place
                FROM unnest(claim_subscriptions, claim_ids, claim_replays) WITH ORDINALITY
                    AS asked (subscription, event_id, replay, place)
                JOIN {schema}.inbox AS claim USING (subscription, event_id, replay)
                WHERE claim.owner = taker
                FOR NO KEY UPDATE OF claim SKIP LOCKED
            )
            SELECT array_agg(place) INTO at_rest FROM found;
            SELECT string_agg(
                CASE
                    WHEN claim.event_id IS NULL THEN 'H'  -- released since: it is to be asked for again
                    WHEN claim.owner IS NULL THEN 'D'
                    WHEN asked.place = ANY (at_rest) THEN 'O'
                    ELSE 'H'
                END, '' ORDER BY asked.place
            ) INTO claims
            FROM unnest(claim_subscriptions, claim_ids, claim_replays) WITH ORDINALITY
                AS asked (subscription, event_id, replay, place)
            LEFT JOIN {schema}.inbox AS claim ON claim.subscription = asked.subscription
                AND claim.event_id = asked.event_id AND claim.replay = asked.replay;
        END IF;
    END IF;
    IF cardinality(complete_ids) > 0 THEN
        lost := {schema}.complete(taker, moment, complete_subscriptions, complete_ids, complete_replays);
        IF cardinality(lost) > 0 THEN
            lost := ARRAY(
                SELECT place FROM unnest(lost) AS place JOIN {schema}.inbox AS claim
                    ON claim.subscription = complete_subscriptions[place] AND claim.event_id = complete_ids[place]
                    AND claim.replay = complete_replays[place]
                WHERE claim.owner IS NOT NULL
            );
        END IF;
    END IF;
    IF cardinality(release_ids) > 0 THEN
        DELETE FROM {schema}.inbox AS claim
        USING unnest(release_subscriptions, release_ids, release_replays) AS asked (subscription, event_id, replay)
        WHERE claim.subscription = asked.subscription AND claim.event_id = asked.event_id
            AND claim.replay = asked.replay AND claim.owner = taker;
    END IF;
END $$;
