-- Streams, snapshots, projections. Each statement under its name, with named parameters.

-- name: stream_begin
INSERT INTO eventbus_stream (name, version) VALUES (:stream, :count) ON CONFLICT DO NOTHING

-- name: stream_grow
UPDATE eventbus_stream SET version = version + :count WHERE name = :stream AND version = :expected

-- name: stream_grow_anyhow
UPDATE eventbus_stream SET version = version + :count WHERE name = :stream

-- name: stream_version
SELECT version FROM eventbus_stream WHERE name = :stream

-- name: event_append
INSERT INTO eventbus_event (stream, version, event_type, event_version, body, recorded_at)
VALUES (:stream, :version, :event_type, :event_version, :body, :now)

-- name: events_of
SELECT stream, version, position, event_type, event_version, body FROM eventbus_event
WHERE stream = :stream AND version > :after ORDER BY version LIMIT :limit

-- name: events_of_all
SELECT stream, version, position, event_type, event_version, body FROM eventbus_event
WHERE position > :after ORDER BY position LIMIT :limit

-- name: newest_event
SELECT seq FROM sqlite_sequence WHERE name = 'eventbus_event'

-- name: snapshot
SELECT version, state FROM eventbus_snapshot WHERE stream = :stream AND kind = :kind

-- name: keep_snapshot
INSERT INTO eventbus_snapshot (stream, kind, version, state, taken_at)
VALUES (:stream, :kind, :version, :state, :now)
ON CONFLICT (stream) DO UPDATE
SET kind = excluded.kind, version = excluded.version, state = excluded.state, taken_at = excluded.taken_at
WHERE excluded.kind <> eventbus_snapshot.kind OR excluded.version > eventbus_snapshot.version

-- name: projection_position
SELECT position FROM eventbus_projection WHERE name = :projection

-- name: projection_enter
INSERT INTO eventbus_projection (name, position) VALUES (:projection, 0) ON CONFLICT DO NOTHING

-- name: projection_advance
UPDATE eventbus_projection SET position = :position WHERE name = :projection AND position = :expected
