"""What of the history failed is copied to its queue, also where it carries what cannot be written again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from eventbus.catchup.copies import Copies
from eventbus.clock import SystemClock
from eventbus.errors import InvalidEvent
from eventbus.headers import ERROR
from eventbus.outcome import DeadLetter, Reason, RetryAfter
from eventbus.transport import Message
from tests.support.scripted import ScriptedTransport

LONGEST: Final = 255


class Picky(ScriptedTransport):
    """Refuses headers of strangers, and long ids."""

    async def send(
        self, messages: Sequence[Message], *, timeout: float, patience: float | None = None
    ) -> None:
        for message in messages:
            if len(message.event_id or "") > LONGEST:
                raise InvalidEvent("event_id", "is too long")
            if "stranger" in message.headers:
                raise InvalidEvent("header 'stranger'", "cannot travel")
        await super().send(messages, timeout=timeout)


async def test_a_header_that_cannot_travel_again_is_left_out_and_holds_nobody_up():
    transport: Any = Picky()
    copies = Copies(transport, "bank.ledger", SystemClock())
    foreign = Message(b"{1}", "account.booked", headers={"stranger": object()})
    plain = Message(b"{2}", "account.booked", headers={"other": "one"})

    assert await copies.send(
        [(foreign, DeadLetter(Reason.UNDECODABLE, "no JSON")), (plain, RetryAfter(1.0, "no"))]
    )

    assert [(each.body, each.queue) for each in transport.sent] == [
        (b"{1}", "bank.ledger.dead"),
        (b"{2}", "bank.ledger"),
    ]
    assert [each.headers[ERROR] for each in transport.sent] == ["no JSON", "no"]
    assert "stranger" not in transport.sent[0].headers
    assert transport.sent[1].headers["other"] == "one"


async def test_an_id_that_cannot_travel_again_is_left_out_and_holds_nobody_up():
    transport: Any = Picky()
    copies = Copies(transport, "bank.ledger", SystemClock())
    foreign = Message(
        b"{1}",
        "account.booked",
        headers={"stranger": object()},
        event_id="\\xff" * 64,
        event_type="account.booked",
    )
    plain = Message(b"{2}", "account.booked", event_id="evt_2")

    assert await copies.send(
        [(foreign, DeadLetter(Reason.UNDECODABLE, "no JSON")), (plain, RetryAfter(1.0, "no"))]
    )

    assert [(each.body, each.routing_key, each.queue, each.event_id) for each in transport.sent] == [
        (b"{1}", "account.booked", "bank.ledger.dead", None),
        (b"{2}", "account.booked", "bank.ledger", "evt_2"),
    ]
    assert transport.sent[0].headers[ERROR] == "no JSON"
