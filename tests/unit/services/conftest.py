"""The outside parts that the services talk to, and the environment that tells them where."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.outside import (
    RunningGateway,
    RunningMailServer,
    gateway_running,
    mail_server_running,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def databases_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for service in ("order", "payment", "warehouse"):
        monkeypatch.setenv(f"{service.upper()}_DATABASE", str(tmp_path / f"{service}.db"))


@pytest.fixture
async def gateway(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RunningGateway]:
    async with gateway_running() as running:
        monkeypatch.setenv("GATEWAY_URL", running.url)
        yield running


@pytest.fixture
async def mail_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RunningMailServer]:
    async with mail_server_running(tmp_path / "mails") as running:
        monkeypatch.setenv("SMTP_HOST", "127.0.0.1")
        monkeypatch.setenv("SMTP_PORT", str(running.port))
        yield running
