"""The archive's database dies, and is read-only for a while, under who fills it and who replays from it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from structlog.testing import capture_logs

from eventbus import Event, Service, subscribe
from eventbus.archives.opening import archive_for
from eventbus.codec import Codec
from eventbus.replay import Replay, ReplayRequest
from tests.support.eventually import eventually
from tests.support.load import bus_to
from tests.support.read_only import read_only, writable

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.postgres_server import PostgresServer

EACH: Final = 500
"""Events that are published before, and in, each of two outages."""
EVENTS: Final = 3 * EACH
RATE: Final = 500.0
PIECE: Final = 50
"""Entries of the archive that are read at a time: so the last of them are not read when it goes away."""
PATIENCE: Final = 60.0


class Booked(Event, type="account.booked"):
    number: int


@contextmanager
def archiving(amqp_url: str, archive_url: str, told: Path) -> Generator[subprocess.Popen[bytes]]:
    """`eventbus archive`, which writes its log to a file."""
    command = [str(Path(sys.executable).with_name("eventbus")), "archive"]
    with told.open("wb") as log:
        process = subprocess.Popen([*command, "--url", amqp_url, "--archive", archive_url], stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def archived(url: str) -> list[int]:
    """The numbers of all that is in there, in its order."""
    archive = archive_for(url)
    await archive.open()
    try:
        entries = await archive.read(0, limit=2 * EVENTS)
    finally:
        await archive.close()
    return [Codec().decode(entry.message).data["number"] for entry in entries]


async def test_history_is_copied_once_and_replayed_whole(
    amqp_url: str, postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("eventbus.history._PIECE", PIECE)
    handled: Counter[int] = Counter()

    @subscribe(Booked)
    async def ledger(event: Booked) -> None:
        handled[event.number] += 1

    service = Service("bank", [ledger])
    store = f"sqlite:///{tmp_path / 'store.db'}"
    told = tmp_path / "archive.log"
    async with bus_to(amqp_url, store=store, archive=postgres.url) as bus:

        async def publish(begin: int) -> None:
            await bus.publish_many([Booked(number=n) for n in range(begin, begin + EACH)])

        async def has_archived(count: int) -> bool:
            return len(await archived(postgres.url)) >= count

        with archiving(amqp_url, postgres.url, told) as process:
            await publish(0)
            await eventually(lambda: has_archived(EACH), within=PATIENCE)
            outages: list[tuple[Callable[[], object], Callable[[], object]]] = [
                (postgres.kill, postgres.start),
                (lambda: read_only(postgres), lambda: writable(postgres)),
            ]
            for so_far, (go, come_back) in enumerate(outages, 1):
                await asyncio.to_thread(go)
                await publish(so_far * EACH)
                await eventually(
                    lambda so_far=so_far: told.read_text().count("archive.unavailable") == so_far,
                    within=PATIENCE,
                )
                await asyncio.to_thread(come_back)
                await eventually(lambda so_far=so_far: has_archived((so_far + 1) * EACH), within=PATIENCE)
            process.terminate()
            assert await asyncio.to_thread(process.wait, PATIENCE) == 0
        assert await archived(postgres.url) == [*range(EVENTS)]

        await bus.transport.apply(service.topology)
        replays = await bus.replays()
        last: list[Replay] = []
        prepared = await replays.prepare(ReplayRequest("bank.ledger", types=("account.*",), rate=RATE))
        with capture_logs() as logs:
            replaying = asyncio.create_task(replays.run(prepared, last.append))
            await eventually(lambda: last and last[-1].sent, within=PATIENCE)
            await asyncio.to_thread(postgres.kill)
            await eventually(lambda: any(log["event"] == "replay.waiting" for log in logs), within=PATIENCE)
            await asyncio.to_thread(postgres.start)
            ended = await asyncio.wait_for(replaying, PATIENCE)
        assert (ended.state, ended.sent) == ("done", EVENTS)

        async with bus.running(service):
            await eventually(lambda: len(handled) == EVENTS, within=PATIENCE)
    assert handled == dict.fromkeys(range(EVENTS), 1)
