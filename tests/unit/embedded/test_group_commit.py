from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from eventbus.embedded import EmbeddedOptions, EmbeddedTransport
from eventbus.embedded.transaction import GroupCommit, Operation, Transaction, WriteFailed, shared
from eventbus.errors import BrokerUnreachable, PublishRefused, PublishTimeout, SendFailed, SendFate
from tests.support.eventually import eventually
from tests.unit.embedded.conftest import OpenTransport
from tests.unit.embedded.words import CHARGE, ORDERS, bodies, history, order, orders, send, stats_of


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE line (text TEXT UNIQUE)")
        yield connection


@pytest.fixture
def group_commit(connection: sqlite3.Connection) -> GroupCommit:
    return GroupCommit(connection, busy_timeout=0.1, synchronous="full")


def writing(text: str) -> Operation[str]:
    def write(transaction: Transaction) -> str:
        transaction.connection.execute("INSERT INTO line VALUES (?)", (text,))
        transaction.changes.logged = True
        return f"wrote {text}"

    return Operation(write, asyncio.get_running_loop().create_future())


def writing_together(*texts: str) -> list[Operation[str]]:
    def write(transaction: Transaction, loads: list[str]) -> list[str]:
        transaction.connection.executemany("INSERT INTO line VALUES (?)", [(text,) for text in loads])
        return [f"wrote {text}" for text in loads]

    loop = asyncio.get_running_loop()
    return [shared(write, text, loop.create_future(), rows=1) for text in texts]


def lines(connection: sqlite3.Connection) -> list[str]:
    return [text for (text,) in connection.execute("SELECT text FROM line ORDER BY rowid")]


async def test_what_waits_together_is_one_transaction(
    connection: sqlite3.Connection, group_commit: GroupCommit
):
    statements: list[str] = []
    connection.set_trace_callback(statements.append)

    ended, changes = group_commit.execute([writing("a"), writing("b"), writing("c")])

    assert [end.answer for end in ended] == ["wrote a", "wrote b", "wrote c"]
    assert changes.logged
    assert [statement for statement in statements if statement.startswith(("BEGIN", "COMMIT", "SAVE"))] == [
        "BEGIN IMMEDIATE",
        "COMMIT",
    ]


async def test_a_bad_operation_fails_alone(connection: sqlite3.Connection, group_commit: GroupCommit):
    ended, _ = group_commit.execute([writing("a"), writing("a"), writing("b")])

    assert [end.answer for end in ended] == ["wrote a", None, "wrote b"]
    assert isinstance(ended[1].error, WriteFailed)
    assert "UNIQUE" in ended[1].error.problem
    assert lines(connection) == ["a", "b"]


async def test_a_bad_operation_fails_alone_among_those_done_at_once(
    connection: sqlite3.Connection, group_commit: GroupCommit
):
    ended, _ = group_commit.execute(writing_together("a", "a", "b"))

    assert [end.answer for end in ended] == ["wrote a", None, "wrote b"]
    assert lines(connection) == ["a", "b"]


async def test_what_a_failed_operation_had_changed_is_not_told(group_commit: GroupCommit):
    def fail(transaction: Transaction) -> None:
        transaction.changes.ready.add(7)
        raise KeyError("no such thing")

    failing = Operation(fail, asyncio.get_running_loop().create_future())

    ended, changes = group_commit.execute([writing("a"), failing])

    assert changes.logged
    assert not changes.ready
    assert isinstance(ended[1].error, KeyError)


async def test_what_was_withdrawn_does_not_run(connection: sqlite3.Connection, group_commit: GroupCommit):
    operations = [writing("a"), writing("b")]

    assert group_commit.withdraw(operations[0])
    ended, _ = group_commit.execute(operations)

    assert [end.answer for end in ended] == ["wrote b"]
    assert not group_commit.withdraw(operations[1])


async def test_sends_of_many_tasks_share_few_transactions(path: Path, open_transport: OpenTransport):
    transport = await open_transport(path)
    await transport.apply(ORDERS)

    with closing(sqlite3.connect(path)) as watching:
        before = changes_seen(watching)
        commits = 0
        sending = asyncio.gather(*(send(transport, order(b"%d" % number)) for number in range(200)))
        while not sending.done():
            await asyncio.sleep(0)
            commits += (now := changes_seen(watching)) != before
            before = now
        await sending

    assert commits <= 20
    assert (await stats_of(transport, CHARGE)).ready == 200


def changes_seen(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA data_version").fetchone()[0]
    return version


async def test_a_large_send_keeps_its_order(open_transport: OpenTransport):
    transport = await open_transport()
    messages = orders(2_345)

    await send(transport, *messages)

    assert bodies(await history(transport, len(messages))) == [message.body for message in messages]


async def locked(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    await eventually(lambda: connection.execute("BEGIN IMMEDIATE"), despite=sqlite3.OperationalError)
    return connection


async def test_a_send_that_finds_the_file_locked_is_withdrawn_at_its_timeout(
    path: Path, open_transport: OpenTransport
):
    transport = await open_transport(path)
    with closing(await locked(path)):
        with pytest.raises(PublishTimeout) as late:
            await transport.send(orders(2), timeout=0.2)

        assert late.value.fates == (SendFate.NOT_SENT, SendFate.NOT_SENT)

    await send(transport, order(b"after"))
    assert bodies(await history(transport, 1)) == [b"after"]


async def test_a_file_locked_for_too_long_is_an_unreachable_broker(path: Path, open_transport: OpenTransport):
    transport = await open_transport(path, EmbeddedOptions(busy_timeout=0.2))
    with closing(await locked(path)):
        with pytest.raises(BrokerUnreachable, match="locked") as failed:
            await transport.send(orders(2), timeout=10)
        assert failed.value.sent is False
        with pytest.raises(BrokerUnreachable, match="locked"):
            await transport.apply(ORDERS)

    await send(transport, order())


async def test_a_send_waits_for_a_file_that_is_locked_for_a_while(path: Path, open_transport: OpenTransport):
    transport = await open_transport(path)
    connection = await locked(path)
    sending = asyncio.create_task(send(transport, order(b"patient")))
    await asyncio.sleep(0.05)
    assert not sending.done()

    connection.execute("COMMIT")
    connection.close()

    await asyncio.wait_for(sending, 5)


async def limit_pages(transport: EmbeddedTransport, pages: int) -> None:
    """As full as a disk can be."""
    engine = transport._open_engine
    await engine.run(lambda t: t.connection.execute(f"PRAGMA max_page_count = {pages}").fetchone())


async def test_on_a_full_disk_nothing_is_sent_and_the_rest_goes_on(path: Path, open_transport: OpenTransport):
    transport = await open_transport(path)
    await transport.apply(ORDERS)
    await send(transport, order(b"before"))
    await limit_pages(transport, 1)  # no more than there are

    async def fate_of(size: int) -> SendFailed | None:
        try:
            await transport.send([order(b"x" * size)], timeout=10)
        except SendFailed as failed:
            return failed
        return None

    large, small = await asyncio.gather(fate_of(1_000_000), fate_of(10))

    assert isinstance(large, PublishRefused)
    assert large.fates == (SendFate.NOT_SENT,)
    assert "is full" in str(large)
    assert small is None
    await limit_pages(transport, 1_000_000)
    await send(transport, order(b"y" * 1_000_000))
    assert [len(body) for body in bodies(await history(transport, 3))] == [6, 10, 1_000_000]
