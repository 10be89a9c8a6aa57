"""What only the store on Redis has."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import structlog
from redis import Redis

from eventbus import Bus, Event, Service, Transaction, subscribe
from eventbus.errors import ConfigurationError, InvalidSubscription
from eventbus.settings import Settings
from eventbus.store import Claim, InboxKey, Store, StoreUnavailable
from eventbus.stores.opening import store_for
from eventbus.stores.options import StoreOptions
from eventbus.stores.redis.store import RedisStore
from eventbus.testing import TestBus
from tests.conftest import RUN_DIRECTORY
from tests.support.eventually import eventually
from tests.support.handling import wrapped
from tests.support.redis_server import RedisServer

KEY = InboxKey("payment.charge", "evt_1")
OTHER = InboxKey("payment.charge", "evt_2")
OPTIONS = StoreOptions(timeout=10.0, lease=30.0)


class Asked(Event, type="asked.once"):
    number: int


async def test_a_server_that_is_killed_and_started_again_has_what_it_answered_for(redis: RedisServer):
    store = store_for(redis.url, OPTIONS)
    await store.open()
    assert (await store.inbox.exchange(claim=[KEY])).claims == [Claim.OURS]
    await store.inbox.exchange(complete=[KEY])

    redis.kill()
    with pytest.raises(StoreUnavailable):
        await store.inbox.exchange(claim=[KEY])
    redis.start()

    async def is_back() -> bool:
        try:
            return (await store.inbox.exchange(claim=[KEY])).claims == [Claim.HANDLED]
        except StoreUnavailable:
            return False

    await eventually(is_back, within=15)
    await store.close()


async def test_a_server_without_the_newer_commands_answers_the_same(redis: RedisServer):
    """`ZMSCORE` is of 6.2; one that the user may not run is one that is not there."""
    keys = [InboxKey("payment.charge", f"evt_{number}") for number in range(1500)]
    with Redis.from_url(redis.url) as client:  # pyright: ignore[reportUnknownMemberType]  their keywords
        client.execute_command("ACL", "SETUSER", "default", "-zmscore")  # pyright: ignore[reportUnknownMemberType]
    store = store_for(redis.url, OPTIONS)
    await store.open()
    await store.inbox.exchange(claim=keys[::2])
    await store.inbox.exchange(complete=keys[::4])

    answer = await store.inbox.exchange(claim=keys)

    assert list(answer.claims) == [Claim.HANDLED, Claim.OURS, Claim.OURS, Claim.OURS] * 375
    await store.close()


async def test_a_wrong_password_is_told_without_the_password(redis_url: str):
    wrong = "redis://:hush@" + redis_url.partition("@")[2]

    with pytest.raises(ConfigurationError, match="user and the password") as failed:
        await store_for(wrong, OPTIONS).open()

    assert "hush" not in str(failed.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://",
        "redis://host/zero",
        "redis://host:port/0",
        "redis://h/0#hush",
        "redis://:hush[@h/0",
        "redis://:hush\uff1a@h/0",
    ],
)
def test_what_names_no_redis_is_refused_without_quoting_it(url: str):
    with pytest.raises(ConfigurationError) as failed:
        store_for(url)

    assert "hush" not in str(failed.value)


async def test_a_server_that_is_away_is_unavailable():
    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1:1"):
        await store_for("redis://127.0.0.1:1/0", OPTIONS).open()


async def test_two_stores_that_claim_a_thousand_keys_at_once_share_them(redis_url: str):
    keys = [InboxKey("payment.charge", f"evt_{number}") for number in range(1000)]
    stores = [store_for(redis_url, OPTIONS) for _ in range(2)]
    for store in stores:
        await store.open()

    answers = await asyncio.gather(
        *(store.inbox.exchange(claim=keys[part::10]) for part in range(10) for store in stores)
    )

    claims = [claim for answer in answers for claim in answer.claims]
    assert sorted(claim.name for claim in claims) == ["HELD"] * 1000 + ["OURS"] * 1000
    for store in stores:
        await store.close()


async def test_what_was_handled_is_forgotten_by_age(redis_url: str):
    store = store_for(redis_url, OPTIONS)
    await store.open()
    await store.inbox.exchange(complete=[KEY])

    assert await store.inbox.purge(older=timedelta(days=1), limit=10) == 0
    assert await store.inbox.purge(older=timedelta(seconds=-1), limit=10) == 1
    assert (await store.inbox.exchange(claim=[KEY])).claims == [Claim.OURS]
    await store.close()


async def test_a_server_that_may_forget_is_told(redis: RedisServer):
    store = store_for(redis.url, OPTIONS)
    with Redis.from_url(redis.url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
    with structlog.testing.capture_logs() as logs:
        await store.open()
    await store.close()

    assert [line["policy"] for line in logs if line["event"] == "store.evicts"] == ["allkeys-lru"]


async def test_a_full_server_is_unavailable_and_not_wrong(redis: RedisServer):
    store = store_for(redis.url, OPTIONS)
    await store.open()
    with Redis.from_url(redis.url) as client:
        client.config_set("maxmemory", "1")
        with pytest.raises(StoreUnavailable, match="maxmemory"):
            await store.inbox.exchange(claim=[KEY])
        client.config_set("maxmemory", "0")

    assert (await store.inbox.exchange(claim=[KEY])).claims == [Claim.OURS]
    await store.close()


async def test_a_password_that_is_changed_while_it_is_open_makes_it_unavailable(redis: RedisServer):
    """Nothing is handled meanwhile; an error at the start is for whoever starts it, and this is not."""
    store = store_for(redis.url, OPTIONS)
    await store.open()
    with Redis.from_url(redis.url) as client:
        client.config_set("requirepass", "another")
        client.client_kill_filter(_type="normal", skipme=True)
        with pytest.raises(StoreUnavailable):
            await _until_refused(store)
        client.config_set("requirepass", redis.url.partition("://:")[2].partition("@")[0])
    await store.close()


async def _until_refused(store: Store) -> None:
    async with asyncio.timeout(15):
        while True:  # the first answer may still come on the connection that is being closed
            await store.inbox.exchange(claim=[KEY])


async def test_a_bus_that_opens_while_it_is_away_waits_for_it(redis: RedisServer, tmp_path: Path):
    handled: list[int] = []

    @subscribe(Asked)
    async def answer(event: Asked) -> None:
        handled.append(event.number)

    redis.kill()
    bus = Bus(f"sqlite:///{tmp_path / 'events.db'}", source="test", store=redis.url, settings=Settings())
    async with bus.opening(Service("shop", [answer])) as opening:
        assert not await opening.tried(within=20)
        assert "Connect" in (opening.problem or "")
        with pytest.raises(StoreUnavailable):
            await bus.publish(Asked(number=1))

        redis.start()
        await eventually(lambda: opening.is_ready, within=40)
        await bus.publish(Asked(number=2))
        await eventually(lambda: handled == [2], within=10)


async def test_a_bus_handles_an_event_once_with_it(redis_url: str, tmp_path: Path):
    handled: list[int] = []

    @subscribe(Asked)
    async def answer(event: Asked) -> None:
        handled.append(event.number)

    async with TestBus(Service("shop", [answer]), settings=Settings(store=redis_url)) as bus:
        same = wrapped(Asked(number=1))
        for _ in range(3):
            await bus.publish(same)

    assert handled == [1]


async def test_a_handler_that_asks_for_a_transaction_is_refused(redis_url: str):
    @subscribe(Asked)
    async def answer(_event: Asked, transaction: Transaction) -> None: ...

    with pytest.raises(InvalidSubscription, match="transaction"):
        async with TestBus(Service("shop", [answer]), settings=Settings(store=redis_url)):
            pass


@asynccontextmanager
async def name_for(*servers: RedisServer) -> AsyncIterator[tuple[str, Callable[[], None]]]:
    """A URL that leads to the first of them, and after the call to the next; open connections stay."""
    turn = iter(servers)
    leads_to = next(turn)
    tasks: set[asyncio.Task[None]] = set()

    def move() -> None:
        nonlocal leads_to
        leads_to = next(turn)

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                writer.write(data)
        finally:
            writer.close()
            await writer.wait_closed()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to = await asyncio.open_connection("127.0.0.1", urlsplit(leads_to.url).port)
        tasks.update(asyncio.create_task(each) for each in (pump(reader, to[1]), pump(to[0], writer)))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    url = servers[0].url.replace(
        f":{urlsplit(servers[0].url).port}/", f":{server.sockets[0].getsockname()[1]}/"
    )
    try:
        yield url, move
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_primary_that_became_a_replica_is_left_for_the_new_one(
    redis: RedisServer, pytestconfig: pytest.Config
):
    """Its name leads elsewhere then, and who is connected to it stays."""
    other = RedisServer(pytestconfig.stash[RUN_DIRECTORY], password=urlsplit(redis.url).password)
    other.start()
    try:
        async with name_for(redis, other) as (url, move):
            store = store_for(url, StoreOptions(timeout=1.0, lease=1.5))
            await store.open()
            assert (await store.inbox.exchange(claim=[KEY])).claims == [Claim.OURS]
            await store.inbox.exchange(complete=[KEY])

            move()
            with Redis.from_url(redis.url) as client:  # pyright: ignore[reportUnknownMemberType]  their keywords
                client.execute_command("REPLICAOF", "127.0.0.1", "1")  # pyright: ignore[reportUnknownMemberType]

            with pytest.raises(StoreUnavailable, match="read only replica"):
                await store.inbox.exchange(claim=[OTHER])
            assert (await store.inbox.exchange(claim=[OTHER])).claims == [Claim.OURS]
            assert isinstance(store, RedisStore)
            assert store._owner is not None
            with Redis.from_url(other.url) as client:  # pyright: ignore[reportUnknownMemberType]  their keywords
                client.delete(store._owner.key)
                await eventually(partial(client.exists, store._owner.key), within=10)  # it says that it lives
            await store.close()
    finally:
        other.remove()
