-- Each statement under its name. Named parameters, which sqlite3 and SQLAlchemy read alike.

-- name: enter
INSERT INTO eventbus_owner (pid, valid_from, expires_at) VALUES (:pid, :valid_from, :expires_at)

-- name: beat
INSERT INTO eventbus_owner (id, pid, valid_from, expires_at) VALUES (:owner, :pid, :valid_from, :expires_at)
ON CONFLICT (id) DO UPDATE SET valid_from = excluded.valid_from, expires_at = excluded.expires_at

-- name: leave
DELETE FROM eventbus_owner WHERE id = :owner

-- name: bury
DELETE FROM eventbus_owner WHERE abs(expires_at - :uptime) > :after

-- name: complete
UPDATE eventbus_inbox SET owner = NULL
WHERE subscription = :subscription AND event_id = :event_id AND replay = :replay AND owner = :owner

-- name: complete_many
UPDATE eventbus_inbox SET owner = NULL
WHERE subscription = :subscription AND replay = :replay AND owner = :owner
AND event_id IN (SELECT value FROM json_each(:event_ids))

-- name: complete_forgotten
INSERT INTO eventbus_inbox (subscription, event_id, replay, owner, claimed_at)
VALUES (:subscription, :event_id, :replay, NULL, :now) ON CONFLICT DO NOTHING

-- name: release
DELETE FROM eventbus_inbox
WHERE subscription = :subscription AND event_id = :event_id AND replay = :replay AND owner = :owner

-- name: claim
INSERT INTO eventbus_inbox (subscription, event_id, replay, owner, claimed_at)
VALUES (:subscription, :event_id, :replay, :owner, :now) ON CONFLICT DO NOTHING

-- name: claim_many
INSERT INTO eventbus_inbox (subscription, event_id, replay, owner, claimed_at)
SELECT :subscription, value, :replay, :owner, :now FROM json_each(:event_ids) WHERE true ON CONFLICT DO NOTHING

-- name: take_over
UPDATE eventbus_inbox SET owner = :owner, claimed_at = :now
WHERE subscription = :subscription AND event_id = :event_id AND replay = :replay

-- name: holder
SELECT owner FROM eventbus_inbox
WHERE subscription = :subscription AND event_id = :event_id AND replay = :replay

-- name: look
SELECT inbox.owner, :uptime BETWEEN owner.valid_from AND owner.expires_at FROM eventbus_inbox AS inbox
LEFT JOIN eventbus_owner AS owner ON owner.id = inbox.owner
WHERE subscription = :subscription AND event_id = :event_id AND replay = :replay

-- name: purge
DELETE FROM eventbus_inbox WHERE (subscription, event_id, replay) IN (
    SELECT subscription, event_id, replay FROM eventbus_inbox
    WHERE claimed_at < :before ORDER BY claimed_at LIMIT :limit
)

-- name: remembers
SELECT EXISTS (SELECT 1 FROM eventbus_inbox WHERE subscription = :subscription)

-- name: put
INSERT INTO eventbus_outbox (event_id, key, queue, properties, body, checksum, due_at, created_at, bus)
VALUES (:event_id, :key, :queue, :properties, :body, :checksum, :due_at, :created_at, :bus)

-- name: newest
SELECT seq FROM sqlite_sequence WHERE name = 'eventbus_outbox'

-- name: lead
-- Also who leads already, for it may have failed to stand down; `Taking` lets one in at a time.
INSERT INTO eventbus_leader (bus, owner) VALUES (:bus, :owner)
ON CONFLICT (bus) DO UPDATE SET owner = excluded.owner
WHERE eventbus_leader.owner IS NULL OR eventbus_leader.owner = excluded.owner OR NOT EXISTS (
    SELECT 1 FROM eventbus_owner AS other
    WHERE other.id = eventbus_leader.owner AND :uptime BETWEEN other.valid_from AND other.expires_at
)

-- name: stand_down
UPDATE eventbus_leader SET owner = NULL WHERE owner = :owner

-- name: waits
SELECT EXISTS (SELECT 1 FROM eventbus_outbox WHERE bus IN ('', :bus) AND sent_at IS NULL AND damaged = 0)

-- name: adopt
UPDATE eventbus_outbox SET bus = :bus WHERE :bus <> '' AND bus = '' AND sent_at IS NULL AND damaged = 0

-- name: take
SELECT id, key, queue, properties, body, checksum, due_at FROM eventbus_outbox
WHERE bus = :bus AND sent_at IS NULL AND damaged = 0 ORDER BY id LIMIT :limit

-- name: set_aside
UPDATE eventbus_outbox SET damaged = 1 WHERE id = :id

-- name: remove
DELETE FROM eventbus_outbox WHERE id = :id

-- name: keep
UPDATE eventbus_outbox SET sent_at = :now WHERE id = :id AND sent_at IS NULL

-- name: trim
DELETE FROM eventbus_outbox WHERE id IN (
    SELECT id FROM eventbus_outbox WHERE sent_at < :before ORDER BY sent_at LIMIT :limit
)

-- name: backlog
SELECT count(*), coalesce(sum(length(body)), 0), min(created_at) FROM eventbus_outbox
WHERE bus IN ('', :bus) AND sent_at IS NULL AND damaged = 0

-- name: backlog_of_all
-- In a file that no process of this version has opened yet.
SELECT count(*), coalesce(sum(length(body)), 0), min(created_at) FROM eventbus_outbox
WHERE sent_at IS NULL AND damaged = 0

-- name: backlogs_of_others
SELECT bus, count(*), coalesce(sum(length(body)), 0), min(created_at) FROM eventbus_outbox
WHERE bus NOT IN ('', :bus) AND sent_at IS NULL AND damaged = 0 GROUP BY bus ORDER BY bus

-- name: make_page
INSERT INTO eventbus_logbook (kind, name, text) VALUES (:kind, :name, :text) ON CONFLICT DO NOTHING

-- name: take_page
UPDATE eventbus_logbook SET owner = :owner, wish = ''
WHERE kind = :kind AND name = :name AND (
    owner IS NULL OR owner <> :owner AND NOT EXISTS (
        SELECT 1 FROM eventbus_owner AS other
        WHERE other.id = eventbus_logbook.owner AND :uptime BETWEEN other.valid_from AND other.expires_at
    )
)

-- name: write_page
UPDATE eventbus_logbook SET text = :text WHERE kind = :kind AND name = :name AND owner = :owner

-- name: leave_page
UPDATE eventbus_logbook SET owner = NULL, wish = '' WHERE kind = :kind AND name = :name AND owner = :owner

-- name: ask_page
UPDATE eventbus_logbook SET wish = :wish
WHERE kind = :kind AND name = :name AND (
    owner = :owner OR EXISTS (
        SELECT 1 FROM eventbus_owner AS other
        WHERE other.id = eventbus_logbook.owner AND :uptime BETWEEN other.valid_from AND other.expires_at
    )
)

-- name: page
SELECT kind, name, text, wish, page.owner IS NOT NULL AND (
    page.owner = :owner OR coalesce(:uptime BETWEEN holder.valid_from AND holder.expires_at, 0)
)
FROM eventbus_logbook AS page LEFT JOIN eventbus_owner AS holder ON holder.id = page.owner
WHERE kind = :kind AND name = :name

-- name: pages
SELECT kind, name, text, wish, page.owner IS NOT NULL AND (
    page.owner = :owner OR coalesce(:uptime BETWEEN holder.valid_from AND holder.expires_at, 0)
)
FROM eventbus_logbook AS page LEFT JOIN eventbus_owner AS holder ON holder.id = page.owner
WHERE kind = :kind ORDER BY page.id
