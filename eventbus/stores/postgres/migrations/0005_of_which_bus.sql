-- Which bus each event of the outbox is of; '': what an older version has put, the first relay's to come.
ALTER TABLE {schema}.outbox ADD COLUMN bus text COLLATE "C" NOT NULL DEFAULT '';
DROP INDEX {schema}.outbox_waiting;
CREATE INDEX outbox_waiting ON {schema}.outbox (bus, shard, id) WHERE sent_at IS NULL AND NOT damaged;

CREATE FUNCTION {schema}.put(
    event_ids text[], keys text[], queues text[], properties text[], bodies bytea[], checksums bigint[],
    due_ats bigint[], moment bigint, whose text
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO {schema}.outbox (event_id, key, queue, properties, body, checksum, due_at, created_at, bus)
    SELECT event.event_id, event.key, event.queue, event.properties, event.body, event.checksum, event.due_at, moment,
        whose
    FROM unnest(event_ids, keys, queues, properties, bodies, checksums, due_ats) WITH ORDINALITY
        AS event (event_id, key, queue, properties, body, checksum, due_at, place)
    ORDER BY event.place;
    PERFORM pg_notify('{channel}', '');
END $$;

CREATE FUNCTION {schema}.append(
    into_stream text, expected bigint, event_types text[], event_versions text[],
    event_ids text[], keys text[], properties text[], bodies bytea[], checksums bigint[], moment bigint, whose text,
    OUT appended bigint, OUT actual bigint
) LANGUAGE plpgsql AS $$
DECLARE
    added integer := cardinality(bodies);
BEGIN
    IF expected IS NULL OR expected = 0 THEN
        INSERT INTO {schema}.stream AS known (name, version) VALUES (into_stream, added)
        ON CONFLICT (name) DO UPDATE SET version = known.version + added WHERE expected IS NULL
        RETURNING known.version INTO appended;
    ELSE
        UPDATE {schema}.stream AS known SET version = known.version + added
        WHERE known.name = into_stream AND known.version = expected
        RETURNING known.version INTO appended;
    END IF;
    IF appended IS NULL THEN
        SELECT known.version INTO actual FROM {schema}.stream AS known WHERE known.name = into_stream;
        actual := coalesce(actual, 0);
        RETURN;
    END IF;
    IF added = 1 THEN  -- what is most frequent, without sorting
        INSERT INTO {schema}.event (stream, version, event_type, event_version, body, recorded_at)
        VALUES (into_stream, appended, event_types[1], event_versions[1], bodies[1], moment);
        INSERT INTO {schema}.outbox (event_id, key, properties, body, checksum, created_at, bus)
        VALUES (event_ids[1], keys[1], properties[1], bodies[1], checksums[1], moment, whose);
        PERFORM pg_notify('{channel}', '');
        RETURN;
    END IF;
    INSERT INTO {schema}.event (stream, version, event_type, event_version, body, recorded_at)
    SELECT into_stream, appended - added + fresh.place, fresh.event_type, fresh.event_version, fresh.body, moment
    FROM unnest(event_types, event_versions, bodies) WITH ORDINALITY
        AS fresh (event_type, event_version, body, place)
    ORDER BY fresh.place;
    PERFORM {schema}.put(
        event_ids, keys, array_fill(NULL::text, ARRAY[added]), properties, bodies, checksums,
        array_fill(NULL::bigint, ARRAY[added]), moment, whose
    );
END $$;

-- What waits of one bus, in shards that no other session holds of it, which this session holds from now on:
-- those whose first event is the oldest, as many as it takes. Relays of other buses have locks of their own, so
-- that a busy one keeps none from its events. A second query reads them, for what another relay has sent before
-- it let go must not be seen here any more.
CREATE FUNCTION {schema}.take(wanted integer, whose text) RETURNS SETOF {schema}.outbox LANGUAGE plpgsql
SET enable_seqscan = off AS $$
DECLARE
    candidate integer;
    held integer[] := '{}';
    found_so_far integer := 0;
    here integer := '{schema}.outbox'::regclass::oid::integer;
    locks_of_the_bus integer := CASE whose WHEN '' THEN 0 ELSE hashtext(whose) / 32 * 32 END;
BEGIN
    IF whose <> '' THEN
        UPDATE {schema}.outbox AS unclaimed SET bus = whose WHERE unclaimed.id IN (
            SELECT waiting.id FROM {schema}.outbox AS waiting
            WHERE waiting.bus = '' AND waiting.sent_at IS NULL AND NOT waiting.damaged FOR UPDATE SKIP LOCKED
        );
    END IF;
    FOR candidate IN
        SELECT place.shard FROM generate_series(0, 31) AS place (shard)
        CROSS JOIN LATERAL (
            SELECT waiting.id FROM {schema}.outbox AS waiting
            WHERE waiting.bus = whose AND waiting.shard = place.shard
                AND waiting.sent_at IS NULL AND NOT waiting.damaged
            ORDER BY waiting.id LIMIT 1
        ) AS first ORDER BY first.id
    LOOP
        EXIT WHEN found_so_far >= wanted;
        CONTINUE WHEN NOT pg_try_advisory_lock(here, locks_of_the_bus + candidate);
        held := held || candidate;
        found_so_far := found_so_far + (
            SELECT count(*) FROM (
                SELECT FROM {schema}.outbox AS waiting
                WHERE waiting.bus = whose AND waiting.shard = candidate
                    AND waiting.sent_at IS NULL AND NOT waiting.damaged
                LIMIT wanted
            ) AS counted
        );
    END LOOP;
    RETURN QUERY
        SELECT event.* FROM unnest(held) AS place (shard)
        CROSS JOIN LATERAL (
            SELECT * FROM {schema}.outbox AS waiting
            WHERE waiting.bus = whose AND waiting.shard = place.shard
                AND waiting.sent_at IS NULL AND NOT waiting.damaged
            ORDER BY waiting.id LIMIT wanted
        ) AS event ORDER BY event.id LIMIT wanted;
END $$;

-- For processes of an older version, until they end: what they put is no bus's own, and all that they take.
CREATE OR REPLACE FUNCTION {schema}.put(
    event_ids text[], keys text[], queues text[], properties text[], bodies bytea[], checksums bigint[],
    due_ats bigint[], moment bigint
) RETURNS void LANGUAGE sql AS $$
    SELECT {schema}.put(event_ids, keys, queues, properties, bodies, checksums, due_ats, moment, '')
$$;
CREATE OR REPLACE FUNCTION {schema}.append(
    into_stream text, expected bigint, event_types text[], event_versions text[],
    event_ids text[], keys text[], properties text[], bodies bytea[], checksums bigint[], moment bigint,
    OUT appended bigint, OUT actual bigint
) LANGUAGE sql AS $$
    SELECT appended, actual FROM {schema}.append(
        into_stream, expected, event_types, event_versions, event_ids, keys, properties, bodies, checksums, moment, ''
    )
$$;
CREATE OR REPLACE FUNCTION {schema}.take(wanted integer) RETURNS SETOF {schema}.outbox LANGUAGE sql AS $$
    SELECT * FROM {schema}.take(wanted, '')
$$;
