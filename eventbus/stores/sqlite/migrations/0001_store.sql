-- All times are microseconds of the bus's clock since 1970, UTC; but for those of `eventbus_owner`, see 0004.
-- The names start with eventbus_ so that the file can be shared with tables of its user's own.

-- One row for each process that has the store open, kept alive by its heartbeat.
CREATE TABLE eventbus_owner (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used twice: a lost claim stays lost
    pid        INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
);

-- What is handled (owner NULL) or being handled. A claim whose owner has expired or left is anybody's.
CREATE TABLE eventbus_inbox (
    subscription TEXT NOT NULL,
    event_id     TEXT NOT NULL,
    replay       TEXT NOT NULL,
    owner        INTEGER,
    claimed_at   INTEGER NOT NULL,
    PRIMARY KEY (subscription, event_id, replay)
) WITHOUT ROWID;
CREATE INDEX eventbus_inbox_age ON eventbus_inbox (claimed_at);

CREATE TABLE eventbus_outbox (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,  -- the order; grows with every commit, since one writes at a time
    event_id   TEXT,
    key        TEXT,
    queue      TEXT,
    properties TEXT NOT NULL,     -- JSON: routing key, ids, headers
    body       BLOB NOT NULL,
    checksum   INTEGER NOT NULL,  -- CRC-32 of the properties and the body
    due_at     INTEGER,
    created_at INTEGER NOT NULL,
    sent_at    INTEGER,
    damaged    INTEGER NOT NULL DEFAULT 0  -- 1: its checksum was wrong; it is kept, and nobody sends it
);
CREATE INDEX eventbus_outbox_waiting ON eventbus_outbox (id) WHERE sent_at IS NULL AND damaged = 0;
CREATE INDEX eventbus_outbox_sent ON eventbus_outbox (sent_at) WHERE sent_at IS NOT NULL;

-- The one relay that sends; others stand by.
CREATE TABLE eventbus_relay (
    one   INTEGER PRIMARY KEY CHECK (one = 1),
    owner INTEGER
);
INSERT INTO eventbus_relay VALUES (1, NULL);
