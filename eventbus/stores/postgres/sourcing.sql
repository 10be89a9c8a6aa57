-- Streams, snapshots, projections. Each statement under its name; {schema} is the schema of the store.

-- name: append
SELECT appended, actual FROM {schema}.append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)

-- name: stream_version
SELECT version FROM {schema}.stream WHERE name = $1

-- name: events_of
SELECT stream, version, position, event_type, event_version, body FROM {schema}.event
WHERE stream = $1 AND version > $2 ORDER BY version LIMIT $3

-- name: events_of_all
SELECT stream, version, position, event_type, event_version, body FROM {schema}.event
WHERE position > $1 ORDER BY position LIMIT $2

-- name: place_events
SELECT {schema}.place($1)

-- name: snapshot
SELECT version, state FROM {schema}.snapshot WHERE stream = $1 AND kind = $2

-- name: keep_snapshot
INSERT INTO {schema}.snapshot AS known (stream, kind, version, state, taken_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (stream) DO UPDATE
SET kind = excluded.kind, version = excluded.version, state = excluded.state, taken_at = excluded.taken_at
WHERE excluded.kind <> known.kind OR excluded.version > known.version

-- name: projection_position
SELECT position FROM {schema}.projection WHERE name = $1

-- name: projection_enter
INSERT INTO {schema}.projection (name, position) VALUES ($1, 0) ON CONFLICT DO NOTHING

-- name: projection_advance
UPDATE {schema}.projection SET position = $3 WHERE name = $1 AND position = $2
