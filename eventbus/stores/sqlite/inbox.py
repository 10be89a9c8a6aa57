"""The inbox: one row for what is handled or being handled."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from eventbus.clock import Clock
from eventbus.databases.sqlite.access import Access
from eventbus.record import microseconds
from eventbus.store import Claim, InboxAnswer, InboxKey
from eventbus.stores.sqlite.owner import Owner, uptime
from eventbus.stores.sqlite.statements import statements


class SqliteInbox:
    at_once = None

    def __init__(self, access: Access, owner: Owner, clock: Clock) -> None:
        self._access = access
        self._owner = owner
        self._clock = clock

    async def exchange(
        self,
        *,
        claim: Sequence[InboxKey] = (),
        complete: Sequence[InboxKey] = (),
        release: Sequence[InboxKey] = (),
    ) -> InboxAnswer:
        if not (claim or complete or release):
            return InboxAnswer([])
        owner, now = self._owner.id, microseconds(self._clock.now())

        def exchange(connection: sqlite3.Connection) -> InboxAnswer:
            lost = _complete(connection, complete, owner, now) if complete else frozenset[InboxKey]()
            if release:
                connection.executemany(statements()["release"], _rows(release, owner, now))
            claims = _claim(connection, claim, owner, now) if claim else []
            return InboxAnswer(claims, lost)

        return await self._access.write(exchange, durable=False)

    async def purge(self, *, older: timedelta, limit: int) -> int:
        before = microseconds(self._clock.now() - older)

        def purge(connection: sqlite3.Connection) -> int:
            return connection.execute(statements()["purge"], {"before": before, "limit": limit}).rowcount

        return await self._access.write(purge, durable=False)

    async def remembers(self, subscription: str) -> bool:
        asked = {"subscription": subscription}
        (found,) = await self._access.read(
            lambda connection: connection.execute(statements()["remembers"], asked).fetchone()
        )
        return bool(found)


Row = dict[str, Any]


def _rows(keys: Sequence[InboxKey], owner: int, now: int) -> list[Row]:
    return [key_row(key, owner, now) for key in keys]


def key_row(key: InboxKey, owner: int, now: int) -> Row:
    return {
        "subscription": key.subscription,
        "event_id": key.event_id,
        "replay": key.replay,
        "owner": owner,
        "now": now,
    }


def _complete(
    connection: sqlite3.Connection, keys: Sequence[InboxKey], owner: int, now: int
) -> frozenset[InboxKey]:
    if _run(connection, "complete", keys, owner, now) == len(keys):
        return frozenset()
    # What has been forgotten meanwhile is nobody else's: it is handled.
    sql, rows = statements(), _rows(keys, owner, now)
    connection.executemany(sql["complete_forgotten"], rows)
    holders = (connection.execute(sql["holder"], row).fetchone() for row in rows)
    return frozenset(key for key, (holder,) in zip(keys, holders, strict=True) if holder is not None)


def _claim(connection: sqlite3.Connection, keys: Sequence[InboxKey], owner: int, now: int) -> list[Claim]:
    if _run(connection, "claim", keys, owner, now) == len(keys):
        return [Claim.OURS] * len(keys)
    asked_at = uptime()
    return [_claimed(connection, row | {"uptime": asked_at}) for row in _rows(keys, owner, now)]


def _claimed(connection: sqlite3.Connection, row: Row) -> Claim:
    holder, is_alive = connection.execute(statements()["look"], row).fetchone()
    if holder is None:
        return Claim.HANDLED
    if holder == row["owner"]:
        return Claim.OURS
    if is_alive:
        return Claim.HELD
    connection.execute(statements()["take_over"], row)
    return Claim.OURS


def _run(connection: sqlite3.Connection, name: str, keys: Sequence[InboxKey], owner: int, now: int) -> int:
    """How many rows it changed. One statement for all keys of a subscription.

    With one for each, the thread would give the interpreter back and wait for it again as often.
    """
    event_ids: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for subscription, event_id, replay in keys:
        event_ids[subscription, replay].append(event_id)
    changed = 0
    for (subscription, replay), those in event_ids.items():
        listed = json.dumps(those)
        if "\\" in listed:  # SQLite's JSON cannot say everything that its texts can
            rows = [key_row(InboxKey(subscription, each, replay), owner, now) for each in those]
            changed += connection.executemany(statements()[name], rows).rowcount
        else:
            of_all = {"subscription": subscription, "replay": replay, "owner": owner, "now": now}
            row = {**of_all, "event_ids": listed}
            changed += connection.execute(statements()[f"{name}_many"], row).rowcount
    return changed
