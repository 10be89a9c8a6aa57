"""The brokers that the shop is run on."""

from __future__ import annotations

import pytest

from tests.conformance.sizes import LONG


@pytest.fixture(params=["sqlite", "rabbitmq"])
def broker_url(request: pytest.FixtureRequest) -> str | None:
    """None is a new SQLite file."""
    return _url(request)


@pytest.fixture(params=["sqlite", "rabbitmq"] if LONG else ["rabbitmq"])
def url_under_faults(request: pytest.FixtureRequest) -> str | None:
    """The same; processes that die on a file are also among the tests of conformance."""
    return _url(request)


def _url(request: pytest.FixtureRequest) -> str | None:
    if request.param == "sqlite":
        return None
    url: str = request.getfixturevalue("amqp_url")
    return url
