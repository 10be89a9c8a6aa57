-- Each statement under its name.

-- name: end
SELECT number, next_offset FROM eventbus_archive.position

-- name: lock
SELECT number, next_offset FROM eventbus_archive.position FOR UPDATE

-- name: missing
SELECT month FROM unnest($1::text[]) AS month WHERE NOT EXISTS (
    SELECT FROM pg_inherits WHERE inhparent = 'eventbus_archive.event'::regclass
        AND inhrelid = to_regclass('eventbus_archive.event_' || month)
)

-- name: make_month
-- Made first and attached then, which readers of the other months need not wait for. One that somebody has
-- detached is attached again.
CREATE TABLE IF NOT EXISTS eventbus_archive.event_{month} (LIKE eventbus_archive.event INCLUDING ALL);
ALTER TABLE eventbus_archive.event ATTACH PARTITION eventbus_archive.event_{month} FOR VALUES FROM ({begins}) TO ({ends})

-- name: enter
INSERT INTO eventbus_archive.identity (identity, month) SELECT * FROM unnest($1::text[], $2::text[])
ON CONFLICT DO NOTHING RETURNING identity

-- name: move
UPDATE eventbus_archive.position SET number = $1, next_offset = $2

-- name: read
SELECT number, occurred_at, properties, body FROM eventbus_archive.event
WHERE number > $1 ORDER BY number LIMIT $2

-- name: read_between
SELECT number, occurred_at, properties, body FROM eventbus_archive.event
WHERE number > $1 AND occurred_at >= $3 AND occurred_at < $4 ORDER BY number LIMIT $2

-- name: by_index
-- Whatever the statistics of a month that has just begun say: nothing but the index has the order of the numbers.
SET enable_seqscan = off; SET enable_sort = off
