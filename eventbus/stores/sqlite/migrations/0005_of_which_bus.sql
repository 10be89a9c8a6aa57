-- Which bus each event of the outbox is of; '': what an older version has put, the first relay's to come.
ALTER TABLE eventbus_outbox ADD COLUMN bus TEXT NOT NULL DEFAULT '';
DROP INDEX eventbus_outbox_waiting;
CREATE INDEX eventbus_outbox_waiting ON eventbus_outbox (bus, id) WHERE sent_at IS NULL AND damaged = 0;

-- For each bus the one relay that sends; others stand by. eventbus_relay is for processes of an older version.
CREATE TABLE eventbus_leader (
    bus   TEXT PRIMARY KEY,
    owner INTEGER
) WITHOUT ROWID;
