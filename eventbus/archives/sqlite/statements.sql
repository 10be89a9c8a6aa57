-- Each statement under its name. {month} is the name of one.

-- name: end
SELECT number, next_offset FROM eventbus_archive_position

-- name: enter
INSERT INTO eventbus_archive_identity (identity, month) VALUES (?, ?) ON CONFLICT DO NOTHING

-- name: move
UPDATE eventbus_archive_position SET number = :number, next_offset = :next_offset

-- name: make_month
CREATE TABLE IF NOT EXISTS eventbus_archive_{month} (
    number      INTEGER PRIMARY KEY,
    occurred_at INTEGER NOT NULL,
    log_offset  INTEGER NOT NULL,
    properties  TEXT NOT NULL,  -- JSON: routing key, ids, headers
    body        BLOB NOT NULL
)

-- name: index_month
CREATE INDEX IF NOT EXISTS eventbus_archive_{month}_times ON eventbus_archive_{month} (number, occurred_at)

-- name: enter_month
INSERT INTO eventbus_archive_month (month, first_number, last_number) VALUES (:month, :first, :last)
ON CONFLICT (month) DO UPDATE SET last_number = excluded.last_number

-- name: put
INSERT INTO eventbus_archive_{month} (number, occurred_at, log_offset, properties, body) VALUES (?, ?, ?, ?, ?)

-- name: months
SELECT month, first_number FROM eventbus_archive_month
WHERE last_number > :after AND EXISTS (
    SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'eventbus_archive_' || month
)
ORDER BY first_number

-- name: read
SELECT number, occurred_at, properties, body FROM eventbus_archive_{month}
WHERE number > :after ORDER BY number LIMIT :limit

-- name: read_between
-- What is passed over is passed over in the index, which is narrow: the bodies of a month may be gigabytes.
SELECT number, occurred_at, properties, body FROM eventbus_archive_{month} WHERE number IN (
    SELECT number FROM eventbus_archive_{month} INDEXED BY eventbus_archive_{month}_times
    WHERE number > :after AND occurred_at >= :since AND occurred_at < :until ORDER BY number LIMIT :limit
) ORDER BY number
