"""What becomes of the driver's errors."""

from __future__ import annotations

import pytest
from aiormq.connection import exception_by_code
from pamqp.commands import Connection

from eventbus.rabbitmq.ask import Lost, Refused, meaning


@pytest.mark.parametrize(
    ("code", "text", "told"),
    [
        (541, "INTERNAL_ERROR", r"^INTERNAL_ERROR: .* inside the broker, and its log says what$"),
        (320, "CONNECTION_FORCED - broker shut down", "CONNECTION_FORCED - broker shut down"),
        (504, "CHANNEL_ERROR", "CHANNEL_ERROR"),
    ],
)
def test_a_connection_that_the_broker_closes_is_lost_with_its_words(code: int, text: str, told: str) -> None:
    loss = meaning(exception_by_code(Connection.Close(code, text, 0, 0)))

    assert isinstance(loss, Lost)
    assert loss.is_goodbye == (code == 320)
    with pytest.raises(Lost, match=told):
        raise loss


def test_a_broker_that_does_not_allow_the_connection_has_refused_it() -> None:
    refusal = meaning(exception_by_code(Connection.Close(530, "NOT_ALLOWED - no access", 0, 0)))

    assert isinstance(refusal, Refused)
    assert (refusal.code, refusal.problem) == (530, "NOT_ALLOWED - no access")
