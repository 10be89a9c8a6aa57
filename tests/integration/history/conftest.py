from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(params=["embedded", "rabbitmq"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "rabbitmq":
        return str(request.getfixturevalue("amqp_url"))
    return f"sqlite:///{tmp_path / 'events.db'}"
