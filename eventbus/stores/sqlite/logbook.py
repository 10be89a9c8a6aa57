"""The logbook: one row for each page, and whose hand it is in."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from eventbus.databases.sqlite.access import Access
from eventbus.logbook import OutOfHand, Page
from eventbus.stores.sqlite.owner import Owner, uptime
from eventbus.stores.sqlite.statements import statements


class SqliteLogbook:
    def __init__(self, access: Access, owner: Owner) -> None:
        self._access = access
        self._owner = owner

    async def take(self, kind: str, name: str, text: str) -> tuple[bool, Page]:
        def take(connection: sqlite3.Connection) -> tuple[bool, Page]:
            # One that was frozen says first that it lives: what it takes now must not count as a dead one's.
            self._owner.beat(connection)
            sql, row = statements(), self._row(kind, name, text=text)
            connection.execute(sql["make_page"], row)
            is_ours = connection.execute(sql["take_page"], row).rowcount == 1
            return is_ours, _page(connection.execute(sql["page"], row).fetchone())

        return await self._access.write(take, durable=True)

    async def write(self, kind: str, name: str, text: str) -> Page:
        def write(connection: sqlite3.Connection) -> Page:
            sql, row = statements(), self._row(kind, name, text=text)
            if connection.execute(sql["write_page"], row).rowcount == 0:
                raise OutOfHand(kind, name)
            return _page(connection.execute(sql["page"], row).fetchone())

        return await self._access.write(write, durable=True)

    async def leave(self, kind: str, name: str) -> None:
        await self._change("leave_page", kind, name)

    async def ask(self, kind: str, name: str, wish: str) -> Page | None:
        await self._change("ask_page", kind, name, wish=wish)
        return await self.page(kind, name)

    async def page(self, kind: str, name: str) -> Page | None:
        found = await self._access.read(
            lambda connection: connection.execute(statements()["page"], self._row(kind, name)).fetchone()
        )
        return None if found is None else _page(found)

    async def pages(self, kind: str) -> Sequence[Page]:
        return await self._access.read(lambda connection: pages(connection, kind, owner=self._owner.id))

    async def _change(self, statement: str, kind: str, name: str, **more: str) -> None:
        def change(connection: sqlite3.Connection) -> None:
            connection.execute(statements()[statement], self._row(kind, name, **more))

        await self._access.write(change, durable=True)

    def _row(self, kind: str, name: str, **more: str) -> dict[str, Any]:
        """As it is when it is asked, and not before it has waited for the lock."""
        return {"kind": kind, "name": name, "owner": self._owner.id, "uptime": uptime(), **more}


def pages(connection: sqlite3.Connection, kind: str, *, owner: int | None = None) -> list[Page]:
    """`owner`: None for who only looks."""
    row = {"kind": kind, "owner": owner, "uptime": uptime()}
    return [_page(found) for found in connection.execute(statements()["pages"], row)]


def _page(row: Sequence[Any]) -> Page:
    kind, name, text, wish, is_in_hand = row
    return Page(kind, name, text, wish, bool(is_in_hand))
