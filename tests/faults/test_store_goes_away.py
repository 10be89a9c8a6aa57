"""The store's server dies, or falls silent, under a running worker, and comes back (fault 26)."""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from structlog.testing import capture_logs

from eventbus import Context, Event, InTransaction, Service, Transaction, subscribe
from eventbus.stores.options import StoreOptions
from tests.support.eventually import eventually
from tests.support.load import bus_to
from tests.support.postgres_server import execute
from tests.support.read_only import read_only, writable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from eventbus import Bus
    from eventbus.settings import Settings
    from tests.support.postgres_server import PostgresServer
    from tests.support.redis_server import RedisServer

BEFORE: Final = 30
AFTER: Final = 10
"""Events that are published before, and while, it is away."""
AT_ONCE: Final = 5
TIMEOUT: Final = 3.0
"""Seconds in which the server has to answer; usually there are ten."""
PATIENCE: Final = 60.0


class Asked(Event, type="store.asked"):
    number: int


class Work:
    """Handlers that are in hand when the server goes, and what they have come to."""

    def __init__(self) -> None:
        self.begun: Counter[int] = Counter()
        self.ended: Counter[int] = Counter()
        self.go_on = asyncio.Event()

    async def do(self, number: int) -> None:
        self.begun[number] += 1
        await self.go_on.wait()

    def leased(self) -> Service:
        @subscribe(Asked, name="work", concurrency=AT_ONCE)
        async def leased(event: Asked) -> None:
            await self.do(event.number)
            self.ended[event.number] += 1

        return Service("shop", [leased])

    def transactional(self) -> Service:
        @subscribe(Asked, name="work", concurrency=AT_ONCE)
        async def transactional(event: Asked, context: Context, transaction: Transaction) -> None:
            await transaction.execute("INSERT INTO effect VALUES ($1)", event.number)
            context.publish("store.answered", {"number": event.number})
            await self.do(event.number)

        return Service("shop", [transactional])

    def raw(self) -> Service:
        @subscribe(Asked, name="work", concurrency=AT_ONCE)
        async def raw(event: Asked, context: Context, transaction: Transaction) -> None:
            await self.do(event.number)
            await transaction.connection.execute("INSERT INTO effect VALUES ($1)", event.number)
            context.publish("store.answered", {"number": event.number})

        return Service("shop", [raw])

    def in_session(self, engine: AsyncEngine) -> Service:
        async def in_session(event: Asked, context: Context, session: AsyncSession) -> None:
            await session.execute(text("INSERT INTO effect VALUES (:number)"), {"number": event.number})
            context.publish("store.answered", {"number": event.number})
            await self.do(event.number)
            await session.execute(text("SELECT 1"))

        asked = InTransaction(async_sessionmaker(engine))
        in_session.__annotations__["session"] = Annotated[AsyncSession, asked]
        return Service("shop", [subscribe(Asked, name="work", concurrency=AT_ONCE)(in_session)])


def impatient_options(_: Settings) -> StoreOptions:
    return StoreOptions(timeout=TIMEOUT)


def told(logs: list[Any], event: str) -> list[Any]:
    return [log for log in logs if log["event"] == event]


async def through_an_outage(
    bus: Bus, service: Service, work: Work, go: Callable[[], object], come_back: Callable[[], object]
) -> list[Any]:
    """The first handlers are in hand when it goes; the logs of it all."""
    with capture_logs() as logs:
        async with bus.running(service):
            await bus.publish_many([Asked(number=n) for n in range(BEFORE)])
            await eventually(lambda: len(work.begun) == AT_ONCE, within=PATIENCE)
            await asyncio.to_thread(go)
            work.go_on.set()
            await eventually(lambda: told(logs, "store.unavailable"), within=PATIENCE)
            await bus.publish_many([Asked(number=BEFORE + n) for n in range(AFTER)])
            await asyncio.to_thread(come_back)
            await eventually(lambda: told(logs, "store.available"), within=PATIENCE)
            await eventually(lambda: len(work.begun) == BEFORE + AFTER, within=PATIENCE)
    assert not [*told(logs, "event.retried"), *told(logs, "event.dead_lettered")]
    return logs


async def answers(bus: Bus) -> set[str | None]:
    """The ids of the events that handlers have published, as far as the broker has them."""
    end = (await bus.transport.log_bounds()).end
    async with bus.transport.log("first", until=end) as batches:
        messages = [entry.message async for batch in batches for entry in batch]
    return {message.event_id for message in messages if message.routing_key == "store.answered"}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eventbus.keeping.store_options", impatient_options)


@pytest_asyncio.fixture
async def engine(postgres: PostgresServer) -> AsyncGenerator[AsyncEngine]:
    engine = create_async_engine(
        urlsplit(postgres.url)._replace(scheme="postgresql+asyncpg").geturl(),
        connect_args={"timeout": TIMEOUT, "command_timeout": TIMEOUT},
    )
    yield engine
    await engine.dispose()


@pytest.mark.parametrize(
    ("how", "by"),
    [
        ("killed", "transaction"),
        ("frozen", "transaction"),
        ("read-only", "transaction"),
        ("frozen", "its connection"),
        ("killed", "session"),
        ("frozen", "session"),
    ],
)
async def test_of_postgresql_each_effect_is_there_once(
    amqp_url: str, postgres: PostgresServer, engine: AsyncEngine, how: str, by: str
):
    work = Work()
    service = {
        "transaction": work.transactional,
        "its connection": work.raw,
        "session": partial(work.in_session, engine),
    }[by]()
    go, come_back = {
        "killed": (postgres.kill, postgres.start),
        "frozen": (postgres.pause, postgres.resume),
        "read-only": (partial(read_only, postgres), partial(writable, postgres)),
    }[how]
    async with bus_to(amqp_url, store=postgres.url) as bus:
        store = bus.kept.store
        assert store is not None
        async with store.transaction() as transaction:
            await transaction.execute("CREATE TABLE effect (number INTEGER)")

        await through_an_outage(bus, service, work, go, come_back)

        async with store.transaction() as transaction:
            rows = await transaction.fetch("SELECT number FROM effect")
        assert sorted(row["number"] for row in rows) == [*range(BEFORE + AFTER)]

        async def all_answered() -> bool:
            return len(await answers(bus)) == BEFORE + AFTER

        await eventually(all_answered, within=PATIENCE)


async def test_what_postgresql_commits_without_an_answer_does_not_run_again(
    amqp_url: str, postgres: PostgresServer
):
    """It waits for a standby that is away, and commits when nobody wants one any more."""
    work = Work()
    async with bus_to(amqp_url, store=postgres.url) as bus:
        store = bus.kept.store
        assert store is not None
        async with store.transaction() as transaction:
            await transaction.execute("CREATE TABLE effect (number INTEGER)")
        exchange, asked = store.inbox.exchange, 0

        async def counted(**wishes: Any) -> Any:
            nonlocal asked
            answer = await exchange(**wishes)
            asked += 1
            return answer

        store.inbox.exchange = counted  # type: ignore[method-assign]
        with capture_logs() as logs:
            async with bus.running(work.transactional()):
                await bus.publish(Asked(number=1))
                await eventually(lambda: work.begun, within=PATIENCE)
                await asyncio.to_thread(execute, postgres.url, *standby("nobody"))
                work.go_on.set()
                before = asked
                await eventually(lambda: asked > before + 2, within=PATIENCE)
                await asyncio.to_thread(execute, postgres.url, *standby(""))

                async def is_answered() -> bool:
                    return len(await answers(bus)) == 1

                await eventually(is_answered, within=PATIENCE)
        assert not [*told(logs, "event.retried"), *told(logs, "event.dead_lettered")]
    assert work.begun == {1: 1}


def standby(name: str) -> tuple[str, ...]:
    return (
        "SET synchronous_commit = local",
        f"ALTER SYSTEM SET synchronous_standby_names = '{name}'",
        "SELECT pg_reload_conf()",
    )


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_of_redis_no_handler_runs_twice(amqp_url: str, redis: RedisServer, how: str):
    work = Work()
    go, come_back = (redis.kill, redis.start) if how == "killed" else (redis.pause, redis.resume)
    async with bus_to(amqp_url, store=redis.url) as bus:
        await through_an_outage(bus, work.leased(), work, go, come_back)

    assert work.ended == dict.fromkeys(range(BEFORE + AFTER), 1)


async def test_of_postgresql_no_handler_without_a_transaction_runs_twice(
    amqp_url: str, postgres: PostgresServer
):
    work = Work()
    async with bus_to(amqp_url, store=postgres.url) as bus:
        await through_an_outage(bus, work.leased(), work, postgres.kill, postgres.start)

    assert work.ended == dict.fromkeys(range(BEFORE + AFTER), 1)


@pytest.mark.parametrize("kind", ["postgres", "redis"])
async def test_a_silent_store_holds_no_shutdown_up(
    amqp_url: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, kind: str
):
    """Half a minute it could take, of a store that is waited for as long as usual."""
    monkeypatch.setattr("eventbus.keeping.store_options", lambda _: StoreOptions())
    server: PostgresServer | RedisServer = request.getfixturevalue(kind)
    work = Work()
    work.go_on.set()
    bus = await bus_to(amqp_url, store=server.url).__aenter__()
    worker = await bus.start(work.leased())
    await bus.publish_many([Asked(number=n) for n in range(BEFORE)])
    await eventually(lambda: work.ended.total() == BEFORE, within=PATIENCE)
    await asyncio.to_thread(server.pause)
    await bus.publish_many([Asked(number=BEFORE + n) for n in range(AFTER)])

    async with asyncio.timeout(15):
        await worker.stop()
        await bus.__aexit__(None, None, None)
    assert work.begun.total() == BEFORE
