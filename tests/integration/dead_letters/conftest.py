"""A broker with dead letters on it, and the command that works with them."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from eventbus.codec import Codec
from eventbus.envelope import envelope_from
from eventbus.outcome import DeadLetter, Reason
from eventbus.transport import Message, Transport
from tests.conformance import drive
from tests.conformance.drive import CHARGE, CHARGE_AND_NOTIFY
from tests.conformance.kinds import connect
from tests.support.eventually import eventually

COMMAND = Path(sys.executable).with_name("eventbus")


@dataclass(frozen=True)
class Ended:
    code: int | None
    out: str
    err: str


@dataclass(frozen=True)
class Place:
    """One broker, an open transport to it, and a directory for what commands write."""

    kind: str
    url: str
    transport: Transport
    directory: Path
    management_url: str | None

    async def give_up(self, count: int, error: str = "CardDeclined: no such card") -> list[str]:
        """So many orders are published, and given up by one of two subscriptions; their ids, in order."""
        await self.transport.apply(CHARGE_AND_NOTIFY)
        dead = (await drive.stats_of(self.transport, CHARGE)).dead
        messages = [an_order(dead + number) for number in range(count)]
        await drive.send(self.transport, *messages)
        async with self.transport.consume(CHARGE, prefetch=drive.PREFETCH) as consumption:
            await drive.collect(consumption, count, outcome=DeadLetter(Reason.EXHAUSTED, error))
        await eventually(lambda: self.has_dead(dead + count), within=30)
        return drive.ids(messages)

    async def has_dead(self, count: int) -> bool:
        return (await drive.stats_of(self.transport, CHARGE)).dead == count

    async def ready(self) -> int:
        return (await drive.stats_of(self.transport, CHARGE)).ready

    async def dead(self) -> list[str]:
        """Their ids, the oldest first."""
        return drive.ids(e.message for e in await self.transport.dead_letters(CHARGE, limit=100_000))

    async def run(self, *arguments: str, **environment: str) -> Ended:
        """`eventbus dead …`, to its end."""
        async with self.started(*arguments, **environment) as process:
            out, err = await asyncio.wait_for(process.communicate(), 60)
        return Ended(process.returncode, out.decode(), err.decode())

    @asynccontextmanager
    async def started(self, *arguments: str, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
        known = {"EVENTBUS_URL": self.url, **environment}
        if self.management_url:
            known["EVENTBUS_MANAGEMENT_URL"] = self.management_url
        process = await asyncio.create_subprocess_exec(
            COMMAND,
            "dead",
            *arguments,
            cwd=self.directory,
            env={**os.environ, **known},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


def an_order(number: int) -> Message:
    return Codec().encode(
        envelope_from(
            {
                "event_id": f"evt_{number:05d}",
                "event_type": "order.created",
                "timestamp": "2025-02-15T10:00:00Z",
                "version": "1.0",
                "data": {"order_id": number, "user_id": 1, "total": "3.00"},
            }
        )
    )


@pytest_asyncio.fixture(params=["file", "rabbitmq"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    if request.param == "file":
        address, management_url = str(tmp_path / "events.db"), None
        url = f"sqlite:///{address}"
    else:
        address = url = request.getfixturevalue("amqp_url")
        management_url = request.getfixturevalue("rabbitmq").http_url
    transport = connect(request.param, address, management_url)
    await transport.open()
    try:
        yield Place(request.param, url, transport, tmp_path, management_url)
    finally:
        await transport.close()
