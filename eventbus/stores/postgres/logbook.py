"""The logbook: one row for each page, and whose hand it is in."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg

from eventbus.databases.postgres.database import Connection
from eventbus.databases.postgres.lane import Lane
from eventbus.databases.texts import storable
from eventbus.logbook import OutOfHand, Page
from eventbus.stores.postgres.owner import Owner
from eventbus.stores.postgres.statements import Statements


class PostgresLogbook:
    def __init__(self, lane: Lane, owner: Owner, statements: Statements) -> None:
        self._lane = lane
        self._owner = owner
        self._statements = statements

    async def take(self, kind: str, name: str, text: str) -> tuple[bool, Page]:
        asked = (kind, storable(name), text, self._owner.id, self._owner.lease)
        taken = await self._row("take_page", *asked)
        assert taken is not None  # noqa: S101  a function answers with one
        is_ours, found, wish = taken
        return is_ours, Page(kind, name, found, wish, is_in_hand=True)

    async def write(self, kind: str, name: str, text: str) -> Page:
        written = await self._row("write_page", kind, storable(name), text, self._owner.id)
        if written is None:
            raise OutOfHand(kind, name)
        return _page(written)

    async def leave(self, kind: str, name: str) -> None:
        await self._change("leave_page", kind, storable(name), self._owner.id)

    async def ask(self, kind: str, name: str, wish: str) -> Page | None:
        await self._change("ask_page", kind, storable(name), self._owner.id, wish)
        return await self.page(kind, name)

    async def page(self, kind: str, name: str) -> Page | None:
        found = await self._row("page", kind, storable(name), self._owner.id)
        return None if found is None else _page(found)

    async def pages(self, kind: str) -> Sequence[Page]:
        owner = self._owner.id
        return await self._lane.ask(lambda connection: pages(connection, self._statements, kind, owner=owner))

    async def _row(self, statement: str, *parameters: object) -> asyncpg.Record | None:
        return await self._lane.ask(
            lambda connection: connection.fetchrow(self._statements[statement], *parameters)
        )

    async def _change(self, statement: str, *parameters: object) -> None:
        await self._lane.ask(lambda connection: connection.execute(self._statements[statement], *parameters))


async def pages(
    connection: Connection, statements: Statements, kind: str, *, owner: int | None = None
) -> list[Page]:
    """`owner`: None for who only looks."""
    return [_page(row) for row in await connection.fetch(statements["pages"], kind, owner)]


def _page(row: asyncpg.Record) -> Page:
    kind, name, text, wish, is_in_hand = row
    return Page(kind, name, text, wish, is_in_hand)
