"""The inbox: one row for what is handled or being handled."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from eventbus.clock import Clock
from eventbus.databases.sqlite.access import Access
from eventbus.record import microseconds
from eventbus.store import Claim, InboxAnswer, InboxKey
from eventbus.stores.sqlite.owner import Owner, machine_time
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
            lost = _complete(connection, _rows(complete, owner, now)) if complete else frozenset[InboxKey]()
            if release:
                connection.executemany(statements()["release"], _rows(release, owner, now))
            claims = _claim(connection, _rows(claim, owner, now)) if claim else []
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


def _complete(connection: sqlite3.Connection, rows: list[Row]) -> frozenset[InboxKey]:
    sql = statements()
    if connection.executemany(sql["complete"], rows).rowcount == len(rows):
        return frozenset()
    # What has been forgotten meanwhile is nobody else's: it is handled.
    connection.executemany(sql["complete_forgotten"], rows)
    found = ((row, connection.execute(sql["look"], row).fetchone()) for row in rows)
    return frozenset(
        InboxKey(row["subscription"], row["event_id"], row["replay"])
        for row, (holder, _) in found
        if holder is not None
    )


def _claim(connection: sqlite3.Connection, rows: list[Row]) -> list[Claim]:
    if connection.executemany(statements()["claim"], rows).rowcount == len(rows):
        return [Claim.OURS] * len(rows)
    alive_after = machine_time()
    return [_claimed(connection, row, alive_after) for row in rows]


def _claimed(connection: sqlite3.Connection, row: Row, alive_after: int) -> Claim:
    holder, expires_at = connection.execute(statements()["look"], row).fetchone()
    if holder is None:
        return Claim.HANDLED
    if holder == row["owner"]:
        return Claim.OURS
    if expires_at is not None and expires_at > alive_after:
        return Claim.HELD
    connection.execute(statements()["take_over"], row)
    return Claim.OURS
