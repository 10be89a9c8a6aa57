-- Streams of events; the first event of each has version 1, and there is no gap.
CREATE TABLE eventbus_stream (
    name    TEXT PRIMARY KEY,
    version INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE eventbus_event (
    -- The order of all streams: grows with every commit, since one writes at a time.
    position      INTEGER PRIMARY KEY AUTOINCREMENT,
    stream        TEXT NOT NULL,
    version       INTEGER NOT NULL,
    event_type    TEXT NOT NULL,
    event_version TEXT NOT NULL,
    body          BLOB NOT NULL,  -- the envelope, as it was published
    recorded_at   INTEGER NOT NULL,
    UNIQUE (stream, version)
);

-- The newest of each stream. Only a hint: what can be read of it is also in the events.
CREATE TABLE eventbus_snapshot (
    stream   TEXT PRIMARY KEY,
    kind     TEXT NOT NULL,  -- the class whose state it is, with a mark of its fields
    version  INTEGER NOT NULL,
    state    BLOB NOT NULL,
    taken_at INTEGER NOT NULL
);

-- Up to where each projection has applied the order of all streams.
CREATE TABLE eventbus_projection (
    name     TEXT PRIMARY KEY,
    position INTEGER NOT NULL
) WITHOUT ROWID;
