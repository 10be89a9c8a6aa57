-- Version 1 of the embedded transport. All times are microseconds since 1970, UTC: of the bus's clock where
-- they say when an event is due, of the machine's clock where they say that a process is alive.
-- The names start with eventbus_ so that the file can be shared with tables of its user's own.

CREATE TABLE eventbus_transport (
    schema_version   INTEGER NOT NULL,
    topology_version INTEGER NOT NULL  -- another with every change of queues or bindings: routing caches watch it
);
INSERT INTO eventbus_transport VALUES (1, 1);

CREATE TABLE eventbus_queue (
    id           INTEGER PRIMARY KEY,
    name         TEXT NOT NULL UNIQUE,
    dead_letters INTEGER REFERENCES eventbus_queue (id)  -- NULL: this one holds the dead letters of another
);

CREATE TABLE eventbus_binding (
    queue   INTEGER NOT NULL REFERENCES eventbus_queue (id),
    pattern TEXT NOT NULL,
    PRIMARY KEY (queue, pattern)
) WITHOUT ROWID;

-- The history: every event once, whoever subscribes to it.
CREATE TABLE eventbus_log (
    "offset"   INTEGER PRIMARY KEY AUTOINCREMENT,
    logged_at  INTEGER NOT NULL,
    properties TEXT NOT NULL,  -- JSON: routing key, ids, headers
    body       BLOB NOT NULL
);
CREATE INDEX eventbus_log_time ON eventbus_log (logged_at);

-- Events with a delay: they are routed and logged when they become due.
CREATE TABLE eventbus_scheduled (
    id         INTEGER PRIMARY KEY,
    due_at     INTEGER NOT NULL,
    properties TEXT NOT NULL,
    body       BLOB NOT NULL
);
CREATE INDEX eventbus_scheduled_due ON eventbus_scheduled (due_at);

-- One row for each message in each queue: ready (due_at and owner NULL), in flight (owner), delayed (due_at).
CREATE TABLE eventbus_delivery (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    queue      INTEGER NOT NULL REFERENCES eventbus_queue (id),
    "offset"   INTEGER REFERENCES eventbus_log ("offset"),  -- NULL: it carries its own body
    due_at     INTEGER,
    since      INTEGER NOT NULL,            -- when it became ready, or will
    owner      INTEGER,                     -- the consumer that holds it
    handovers  INTEGER NOT NULL DEFAULT 0,  -- since it was last settled
    properties TEXT,                        -- NULL: as in the log
    body       BLOB
);
CREATE INDEX eventbus_delivery_turn ON eventbus_delivery (queue, owner) WHERE due_at IS NULL;
CREATE INDEX eventbus_delivery_due ON eventbus_delivery (due_at, queue) WHERE due_at IS NOT NULL;
CREATE INDEX eventbus_delivery_offset ON eventbus_delivery ("offset") WHERE "offset" IS NOT NULL;

-- One row for each process that consumes, kept alive by its heartbeat.
CREATE TABLE eventbus_session (
    id        TEXT PRIMARY KEY,
    pid       INTEGER NOT NULL,
    heartbeat INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE eventbus_consumer (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used twice: a lost lease stays lost
    session TEXT NOT NULL REFERENCES eventbus_session (id),
    queue   INTEGER NOT NULL REFERENCES eventbus_queue (id)
);
CREATE INDEX eventbus_consumer_session ON eventbus_consumer (session);
CREATE INDEX eventbus_consumer_queue ON eventbus_consumer (queue);
