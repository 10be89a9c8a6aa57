"""`eventbus relay`: a broker that goes away, or falls silent, at the worst moment."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from eventbus.cli import main
from eventbus.embedded import EmbeddedTransport
from eventbus.errors import BrokerUnreachable, PublishTimeout, SendFailed, SendFate
from eventbus.stores.opening import store_for
from eventbus.transport import Message, Topology


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/outbox.db"


def put(url: str, count: int) -> None:
    async def put() -> None:
        store = store_for(url)
        await store.open()
        assert store.outbox is not None
        messages = [Message(b"{}", "order.created", event_id=f"{number}") for number in range(count)]
        await store.outbox.put(messages, [None] * count)
        await store.close()

    asyncio.run(put())


def test_a_broker_that_is_lost_before_it_has_declared_is_waited_for(
    store: str, monkeypatch: pytest.MonkeyPatch
):
    tries: list[Topology] = []

    async def apply(_: EmbeddedTransport, topology: Topology) -> None:
        tries.append(topology)
        if len(tries) == 1:
            raise BrokerUnreachable("amqp://there", "the connection was lost")
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(EmbeddedTransport, "apply", apply)

    assert (main(["relay", "--store", store]), len(tries)) == (0, 2)


@pytest.mark.parametrize(
    "failure",
    [
        PublishTimeout("no confirm within 10 s", [SendFate.CONFIRMED] * 100 + [SendFate.UNKNOWN] * 400),
        BrokerUnreachable("amqp://there", "reset", [SendFate.CONFIRMED] * 100 + [SendFate.UNKNOWN] * 400),
    ],
    ids=["falls silent", "goes away"],
)
def test_once_says_what_it_has_sent_before_the_broker_failed_and_what_is_left(
    store: str, failure: SendFailed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    put(store, 1000)
    batches: list[int] = []

    async def send(_: EmbeddedTransport, messages: Sequence[Message], *, timeout: float) -> None:
        batches.append(len(messages))
        if len(batches) > 1:
            raise failure

    monkeypatch.setattr(EmbeddedTransport, "send", send)

    code = main(["relay", "--once", "--store", store])

    shown = capsys.readouterr()
    assert (code, shown.out, batches) == (3, "sent 600, left 400\n", [500, 500])
    assert failure.problem in shown.err
