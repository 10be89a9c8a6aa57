-- Each statement under its name. {schema} is the schema of the store.

-- name: enter
INSERT INTO {schema}.owner (host, pid, expires_at)
VALUES ($1, $2, clock_timestamp() + make_interval(secs => $3)) RETURNING id

-- name: beat
INSERT INTO {schema}.owner (id, host, pid, expires_at)
VALUES ($1, $2, $3, clock_timestamp() + make_interval(secs => $4))
ON CONFLICT (id) DO UPDATE SET expires_at = excluded.expires_at

-- name: leave
DELETE FROM {schema}.owner WHERE id = $1

-- name: bury
DELETE FROM {schema}.owner WHERE expires_at < clock_timestamp() - interval '1 day'

-- name: exchange
SELECT claims, lost FROM {schema}.exchange($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)

-- name: complete
SELECT {schema}.complete($1, $2, $3, $4, $5)

-- name: purge
DELETE FROM {schema}.inbox WHERE (subscription, event_id, replay) IN (
    SELECT subscription, event_id, replay FROM {schema}.inbox
    WHERE claimed_at < $1 ORDER BY claimed_at LIMIT $2 FOR UPDATE SKIP LOCKED
)

-- name: remembers
-- Asked for in the order of the index: a plan made for a subscription that has most of the rows would read
-- all of them for one that has none.
SELECT subscription = $1 FROM {schema}.inbox WHERE subscription >= $1
ORDER BY subscription, event_id, replay LIMIT 1

-- name: put
SELECT {schema}.put($1, $2, $3, $4, $5, $6, $7, $8, $9)

-- name: take
SELECT id, key, queue, properties, body, checksum, due_at FROM {schema}.take($1, $2)

-- name: let_go
SELECT pg_advisory_unlock_all()

-- name: set_aside
UPDATE {schema}.outbox SET damaged = true WHERE id = ANY ($1::bigint[])

-- name: remove
DELETE FROM {schema}.outbox WHERE id = ANY ($1::bigint[])

-- name: keep
UPDATE {schema}.outbox SET sent_at = $2 WHERE id = ANY ($1::bigint[]) AND sent_at IS NULL

-- name: trim
DELETE FROM {schema}.outbox WHERE id IN (
    SELECT id FROM {schema}.outbox WHERE sent_at < $1 ORDER BY sent_at LIMIT $2 FOR UPDATE SKIP LOCKED
)

-- name: backlog
SELECT count(*), coalesce(sum(length(body)), 0)::bigint, min(created_at) FROM {schema}.outbox
WHERE bus IN ('', $1) AND sent_at IS NULL AND NOT damaged

-- name: backlog_of_all
-- In a schema that no process of this version has opened yet.
SELECT count(*), coalesce(sum(length(body)), 0)::bigint, min(created_at) FROM {schema}.outbox
WHERE sent_at IS NULL AND NOT damaged

-- name: backlogs_of_others
SELECT bus, count(*), coalesce(sum(length(body)), 0)::bigint, min(created_at) FROM {schema}.outbox
WHERE bus NOT IN ('', $1) AND sent_at IS NULL AND NOT damaged GROUP BY bus ORDER BY bus

-- name: place
SELECT current_database(), to_regclass($1)::oid::bigint, obj_description(to_regclass($1)::oid, 'pg_class')

-- name: take_page
SELECT is_taken, found_text, found_wish FROM {schema}.take_page($1, $2, $3, $4, $5)

-- name: write_page
UPDATE {schema}.logbook SET text = $3 WHERE kind = $1 AND name = $2 AND owner = $4
RETURNING kind, name, text, wish, true

-- name: leave_page
UPDATE {schema}.logbook SET owner = NULL, wish = '' WHERE kind = $1 AND name = $2 AND owner = $3

-- name: ask_page
UPDATE {schema}.logbook SET wish = $4
WHERE kind = $1 AND name = $2 AND (owner = $3 OR {schema}.is_alive(owner))

-- name: page
SELECT kind, name, text, wish, coalesce(owner = $3, false) OR {schema}.is_alive(owner)
FROM {schema}.logbook WHERE kind = $1 AND name = $2

-- name: pages
SELECT kind, name, text, wish, coalesce(owner = $2, false) OR {schema}.is_alive(owner)
FROM {schema}.logbook WHERE kind = $1 ORDER BY id
