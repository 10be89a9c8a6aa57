"""The brokers that the shop is run on."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["sqlite", "rabbitmq"])
def broker_url(request: pytest.FixtureRequest) -> str | None:
    """None is a new SQLite file."""
    if request.param == "sqlite":
        return None
    url: str = request.getfixturevalue("amqp_url")
    return url
