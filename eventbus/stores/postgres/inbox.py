"""The inbox: one row for what is handled or being handled, asked for in one round trip."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import asyncpg

from eventbus.clock import Clock
from eventbus.databases.postgres.database import Connection
from eventbus.databases.postgres.lane import Lane
from eventbus.databases.texts import storable
from eventbus.record import microseconds
from eventbus.store import Claim, InboxAnswer, InboxKey
from eventbus.stores.postgres.owner import Owner
from eventbus.stores.postgres.statements import Statements

_TRIES: Final = 5
"""Of an exchange that PostgreSQL has taken back in favour of another."""

_CLAIMS: Final = {"O": Claim.OURS, "D": Claim.HANDLED, "H": Claim.HELD}


class PostgresInbox:
    """What it has answered is on the disk, as the server understands that (`synchronous_commit`).

    Without that wait, PostgreSQL would forget up to 0.6 s of it with every crash, and one backend that is
    killed is a crash of all: what was acked would be handled again. An exchange carries the wishes of all
    deliveries in flight, so that they share the wait.
    """

    at_once = None

    def __init__(self, lanes: Sequence[Lane], owner: Owner, statements: Statements, clock: Clock) -> None:
        """`lanes`: as many questions as are asked side by side."""
        self._lanes = lanes
        self._owner = owner
        self._statements = statements
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
        completing = sorted(complete)
        releasing = sorted(set(release).difference(claim, complete))
        claiming = sorted(set(claim).difference(complete))
        parameters = (
            *(self._owner.id, microseconds(self._clock.now()), self._owner.lease),
            *(*columns(claiming), *columns(completing), *columns(releasing)),
        )
        claims, places = await self._lane.ask(lambda connection: self._exchange(connection, parameters))
        lost = frozenset(completing[place - 1] for place in places)
        answers = {key: _CLAIMS[letter] for key, letter in zip(claiming, claims, strict=True)}
        # Of what was to be completed and claimed only the completing is asked for; this is what follows.
        answers |= {key: Claim.HELD if key in lost else Claim.HANDLED for key in completing}
        return InboxAnswer([answers[key] for key in claim], lost)

    async def purge(self, *, older: timedelta, limit: int) -> int:
        before = microseconds(self._clock.now() - older)
        status = await self._lane.ask(
            lambda connection: connection.execute(self._statements["purge"], before, limit)
        )
        return changed_rows(status)

    async def remembers(self, subscription: str) -> bool:
        found = await self._lane.ask(
            lambda connection: connection.fetchval(self._statements["remembers"], storable(subscription))
        )
        return bool(found)

    @property
    def _lane(self) -> Lane:
        return next((lane for lane in self._lanes if not lane.is_busy), self._lanes[0])

    async def _exchange(self, connection: Connection, parameters: Sequence[object]) -> tuple[str, list[int]]:
        for tried in range(_TRIES):
            try:
                row = await connection.fetchrow(self._statements["exchange"], *parameters)
            except asyncpg.TransactionRollbackError:  # a deadlock, after a second; it is rolled back whole
                if tried == _TRIES - 1:
                    raise
                await asyncio.sleep(random.uniform(0.0, 0.02))
            else:
                assert row is not None  # noqa: S101  a function answers with one
                return row[0], row[1]
        raise AssertionError


def columns(keys: Sequence[InboxKey]) -> tuple[list[str], list[str], list[str]]:
    return (
        [storable(key.subscription) for key in keys],
        [storable(key.event_id) for key in keys],
        [storable(key.replay) for key in keys],
    )


def changed_rows(status: str) -> int:
    """Of `INSERT 0 3`, `UPDATE 3`; 0 for a statement that counts none."""
    last = status.rpartition(" ")[2]
    return int(last) if last.isdigit() else 0
