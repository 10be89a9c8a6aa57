"""The outside parts of the shop, inside a test: the payment gateway and the mail server, on free ports."""

from __future__ import annotations

import asyncio
import mailbox
import socket
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx2
import uvicorn

from services.email.mailbox_server import listening
from services.payment.gateway_server import GatewayServer
from services.payment.ledger import Ledger
from tests.support.eventually import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from email.message import Message
    from pathlib import Path

    from fastapi import FastAPI


@dataclass(frozen=True)
class RunningGateway:
    """The gateway as an operator sees it."""

    url: str
    client: httpx2.AsyncClient

    async def behave(self, **behaviour: object) -> None:
        """From now on as `services.payment.gateway_server.Behaviour` says."""
        (await self.client.put("/admin/behaviour", json=behaviour)).raise_for_status()

    async def charges(self) -> list[dict[str, Any]]:
        charges: list[dict[str, Any]] = (await self.client.get("/charges")).raise_for_status().json()
        return charges

    async def statuses(self) -> list[str]:
        return [charge["status"] for charge in await self.charges()]


@dataclass(frozen=True)
class RunningMailServer:
    port: int
    maildir: Path

    def mails(self) -> list[Message]:
        """What it got, in no order."""
        return list(mailbox.Maildir(self.maildir, create=False))


@asynccontextmanager
async def gateway_running(database: str = ":memory:") -> AsyncGenerator[RunningGateway]:
    ledger = Ledger(database)
    try:
        async with (
            app_running(GatewayServer(ledger).app()) as url,
            httpx2.AsyncClient(base_url=url, trust_env=False) as client,
        ):
            yield RunningGateway(url, client)
    finally:
        ledger.close()


@asynccontextmanager
async def mail_server_running(
    maildir: Path, *, port: int = 0, latency: float = 0.0
) -> AsyncGenerator[RunningMailServer]:
    async with listening("127.0.0.1", port, maildir, latency=latency) as listening_on:
        yield RunningMailServer(listening_on, maildir)


@asynccontextmanager
async def app_running(app: FastAPI) -> AsyncGenerator[str]:
    """Serves it on a free port; gives its URL."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await eventually(lambda: server.started)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await serving
