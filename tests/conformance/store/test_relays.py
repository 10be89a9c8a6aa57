"""Several relays share an outbox: everything is sent, and no key by two of them at a time."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from tests.conformance.sizes import PATIENCE
from tests.conformance.store import drive
from tests.conformance.store.kinds import SHARED_SQL
from tests.support.eventually import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from eventbus.store import Outbox, Store
    from tests.conformance.store.kinds import Place

pytestmark = SHARED_SQL


async def test_two_relays_at_once_send_each_key_in_its_order_and_never_together(
    store: Store, other: Store
) -> None:
    assert store.outbox is not None
    assert other.outbox is not None
    keys = ["a", "b", "c", "d"]
    messages = drive.some_messages(200)
    await store.outbox.put(messages, [keys[number % 4] for number in range(200)])
    sending: Counter[str | None] = Counter()
    sent: defaultdict[str | None, list[str | None]] = defaultdict(list)

    async def relay(outbox: Outbox) -> None:
        while (await outbox.backlog()).events:
            async with outbox.take(7) as taken:
                held = {entry.key for entry in taken.entries}
                sending.update(held)
                assert not [key for key in held if sending[key] > 1]
                await asyncio.sleep(0.002)
                for entry in taken.entries:
                    sent[entry.key].append(entry.message.event_id)
                await taken.sent(taken.entries)
                sending.subtract(held)

    await asyncio.wait_for(asyncio.gather(relay(store.outbox), relay(other.outbox)), PATIENCE * 2)

    ids = [message.event_id for message in messages]
    assert {key: sent[key] for key in keys} == {key: ids[number::4] for number, key in enumerate(keys)}


async def test_what_one_relay_holds_another_does_not_get(store: Store, other: Store) -> None:
    assert store.outbox is not None
    assert other.outbox is not None
    put = await drive.put(store.outbox, *drive.some_messages(3))

    async with store.outbox.take(10) as taken:
        assert drive.ids(taken.entries) == put
        assert await drive.waiting(other.outbox) == []

    assert drive.ids(await drive.waiting(other.outbox)) == put


async def test_what_a_killed_relay_held_another_gets_soon(
    place: Place, store: Store, outbox: Outbox, tmp_path: Path
) -> None:
    put = await drive.put(outbox, *drive.some_messages(3))
    async with place.process("take", log=tmp_path / "log") as process:
        await process.says("took 3", within=PATIENCE)
        assert await drive.waiting(outbox) == []
        await process.kill()

    async def all_of_it() -> bool:
        return drive.ids(await drive.waiting(outbox)) == put

    await eventually(all_of_it, within=PATIENCE)


async def test_relays_of_one_process_do_not_disturb_each_other(outbox: Outbox) -> None:
    put = await drive.put(outbox, *drive.some_messages(100))

    async def relay() -> list[str | None]:
        sent: list[str | None] = []
        while (await outbox.backlog()).events:
            async with outbox.take(9) as taken:
                await asyncio.sleep(0)
                sent += drive.ids(taken.entries)
                await taken.sent(taken.entries)
        return sent

    parts = await asyncio.wait_for(asyncio.gather(relay(), relay()), PATIENCE)

    assert sorted(str(event_id) for part in parts for event_id in part) == sorted(map(str, put))
