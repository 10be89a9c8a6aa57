-- Times are microseconds since 1970, UTC.
-- A month's events are in a table of its own, eventbus_archive_2026_11, made with the first of them. To drop an old
-- month: DROP TABLE eventbus_archive_2026_11. Its identities stay, so that nothing of it is copied a second time.

-- One row: how far the log has been copied.
CREATE TABLE eventbus_archive_position (
    one         INTEGER PRIMARY KEY CHECK (one = 1),
    number      INTEGER NOT NULL,  -- of the newest event
    next_offset INTEGER            -- the place in the log from which on nothing has been copied; NULL: nothing has
);
INSERT INTO eventbus_archive_position VALUES (1, 0, NULL);

-- What each event is kept once by, whichever month it is in.
CREATE TABLE eventbus_archive_identity (
    identity TEXT PRIMARY KEY,
    month    TEXT NOT NULL
) WITHOUT ROWID;

-- Which months there have been, and between which numbers to look for their events.
CREATE TABLE eventbus_archive_month (
    month        TEXT PRIMARY KEY,
    first_number INTEGER NOT NULL,
    last_number  INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX eventbus_archive_month_order ON eventbus_archive_month (first_number);
