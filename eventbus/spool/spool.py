"""The way of an event: to the broker, else into the spool, and behind the others while any wait there."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from eventbus.errors import ConfigurationError, PublishTimeout, SendFailed, SendFate, SpoolFull
from eventbus.logs import get_logger
from eventbus.outgoing import Outgoing
from eventbus.sending import State, fates_of, is_away, kept, taken
from eventbus.spool.waiting import ENTRY_BYTES, SpoolLimits, Waiting
from eventbus.store import Outbox, StoreUnavailable
from eventbus.transport import Transport


class Spool:
    """Opened with its outbox, which a relay drains.

    The broker gets `after` seconds in which it confirms nothing, and half of the publisher's timeout at most.
    What it has not confirmed by then is on this disk when `send` returns, under the same event_id: what it
    did get will come twice. While anything waits, new events go behind it without asking the broker, which
    keeps the order of what one process publishes; between processes that share a file no order is promised.
    """

    def __init__(
        self, outbox: Outbox, transport: Transport, *, where: str, after: float, limits: SpoolLimits
    ) -> None:
        """`where`: its file, for logs and errors."""
        self._outbox = outbox
        self._transport = transport
        self._where = where
        self._after = after
        self._log = get_logger("eventbus.spool").bind(spool=where)
        self._waiting = Waiting(outbox, limits, self._log, patience=after)

    async def open(self) -> None:
        """Learn what a process before this one has left; raises `StoreUnavailable`."""
        await self._waiting.open()

    async def close(self) -> None:
        """What waits stays."""
        await self._waiting.close()

    async def send(self, outgoing: Sequence[Outgoing], *, timeout: float) -> Sequence[State]:
        """What became of each. Raises within `timeout` seconds where neither broker nor spool takes it.

        `PublishRefused`: the broker is there and says no. `SpoolFull`. `PublishTimeout`: the disk is slow.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        broker_until = began + timeout / 2
        fates: Sequence[SendFate] = [SendFate.NOT_SENT] * len(outgoing)
        if await self._waiting.emptied(within=min(self._after, timeout / 2) / 2):
            left = max(0.001, broker_until - loop.time())
            try:
                messages = [each.message for each in outgoing]
                await self._transport.send(messages, timeout=left, patience=self._after)
            except SendFailed as error:
                if not is_away(error):
                    raise
                fates = fates_of(error, len(outgoing))
                self._waiting.begin(error)
            else:
                return [taken(each) for each in outgoing]
        pairs = list(zip(outgoing, fates, strict=True))
        missing = [each for each, fate in pairs if fate is not SendFate.CONFIRMED]
        await self._keep(missing, fates, began + timeout)
        return [taken(each) if fate is SendFate.CONFIRMED else kept(each) for each, fate in pairs]

    async def _keep(self, outgoing: Sequence[Outgoing], fates: Sequence[SendFate], until: float) -> None:
        size = sum(len(each.message.body) + ENTRY_BYTES for each in outgoing)
        try:
            async with asyncio.timeout_at(until):
                if (problem := await self._waiting.problem_with(size)) is not None:
                    raise SpoolFull(f"the broker is away, and the spool {self._where} {problem}", fates)
                with self._waiting.putting(len(outgoing), size):
                    await self._outbox.put(
                        [each.message for each in outgoing], [each.key for each in outgoing]
                    )
        except TimeoutError:
            nobody_knows = [f if f is SendFate.CONFIRMED else SendFate.UNKNOWN for f in fates]
            problem = f"the broker is away, and the spool {self._where} did not take it in time"
            raise PublishTimeout(problem, nobody_knows) from None
        except (StoreUnavailable, ConfigurationError) as error:
            told = error.problem if isinstance(error, StoreUnavailable) else error
            problem = f"the broker is away, and the spool {self._where} takes nothing: {told}"
            raise SpoolFull(problem, fates) from error
