-- How far long undertakings have come. A page whose owner is NULL, has expired or left is in nobody's hand.
CREATE TABLE eventbus_logbook (
    id    INTEGER PRIMARY KEY AUTOINCREMENT,  -- the order in which they were made
    kind  TEXT NOT NULL,
    name  TEXT NOT NULL,
    text  TEXT NOT NULL,
    wish  TEXT NOT NULL DEFAULT '',
    owner INTEGER,
    UNIQUE (kind, name)
);
