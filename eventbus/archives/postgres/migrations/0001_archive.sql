-- A month's events are in a partition of their own, event_2026_11, made with the first of them. To drop an old
-- month: DROP TABLE eventbus_archive.event_2026_11. Its identities stay, so that nothing of it is copied a second
-- time.

CREATE TABLE eventbus_archive.archive (
    one     boolean PRIMARY KEY DEFAULT true CHECK (one),
    version integer NOT NULL
);

-- One row: how far the log has been copied.
CREATE TABLE eventbus_archive.position (
    one         boolean PRIMARY KEY DEFAULT true CHECK (one),
    number      bigint NOT NULL,  -- of the newest event
    next_offset bigint            -- the place in the log from which on nothing has been copied; NULL: nothing has
);
INSERT INTO eventbus_archive.position (number, next_offset) VALUES (0, NULL);

-- What each event is kept once by, whichever month it is in.
CREATE TABLE eventbus_archive.identity (
    identity text COLLATE "C" PRIMARY KEY,
    month    text NOT NULL
);

-- No default partition: making another one would have to wait for everybody who reads that, a backup too.
CREATE TABLE eventbus_archive.event (
    number      bigint NOT NULL,
    occurred_at timestamptz NOT NULL,
    log_offset  bigint NOT NULL,
    properties  text NOT NULL,    -- JSON: routing key, ids, headers
    body        bytea NOT NULL,
    PRIMARY KEY (number, occurred_at)
) PARTITION BY RANGE (occurred_at);
