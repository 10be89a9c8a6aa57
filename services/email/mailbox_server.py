"""A mail server to develop against: real SMTP that delivers nothing and keeps everything.

    SMTP_PORT=1025 MAILBOX=mails python -m services.email.mailbox_server

Mails lie in the maildir MAILBOX, for any mail program to read. MAILBOX_LATENCY makes it slow (seconds). Two
kinds of address are there for tests, as with real mail providers: `bounce@…` is refused for good (550) and
`busy@…` for now (451).
"""

from __future__ import annotations

import asyncio
import mailbox
import os
import signal
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aiosmtpd.smtp import SMTP, Envelope, Session

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

OK: Final = "250 OK"


class Keeper:
    """aiosmtpd calls these for each mail; the SMTP replies are theirs."""

    def __init__(self, maildir: Path, latency: float) -> None:
        self._mails = mailbox.Maildir(maildir)
        self._latency = latency

    async def handle_RCPT(  # noqa: N802  aiosmtpd calls it so
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        del server, session, options
        match address.split("@", maxsplit=1)[0]:
            case "bounce":
                return "550 5.1.1 no such mailbox"
            case "busy":
                return "451 4.3.2 try again later"
            case _:
                envelope.rcpt_tos.append(address)
                return OK

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        del server, session
        await asyncio.sleep(self._latency)
        self._mails.add(envelope.content or b"")
        return OK


@asynccontextmanager
async def listening(host: str, port: int, maildir: Path, *, latency: float = 0.0) -> AsyncGenerator[int]:
    """Takes mails until left; gives the port, which is a free one where `port` is 0."""
    keeper = Keeper(maildir, latency)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(keeper, hostname="localhost", loop=loop), host, port)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def serve() -> None:
    stopped = asyncio.Event()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signal_number, stopped.set)
    async with listening(
        os.environ.get("SMTP_HOST", "127.0.0.1"),
        int(os.environ.get("SMTP_PORT", "1025")),
        Path(os.environ.get("MAILBOX", "mails")),
        latency=float(os.environ.get("MAILBOX_LATENCY", "0")),
    ):
        await stopped.wait()


if __name__ == "__main__":
    asyncio.run(serve())
