"""A broker in a few lines, that is away, refuses or falls silent as the test says."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

from eventbus.errors import BrokerUnreachable, InvalidEvent, PublishRefused, PublishTimeout, SendFate
from eventbus.transport import Message, Transport


class PickyTransport:
    """Each event by its `event_id`; what it has taken stays in `has`, in the order in which it came."""

    url = "picky:"

    def __init__(self) -> None:
        self.has: list[str] = []
        self.delays: dict[str, float] = {}
        self.calls: list[list[str]] = []
        self.patience = 0.0
        """Seconds that the last call would have waited for it."""
        self.is_away = False
        self.is_silent = False
        """It answers nothing, and has taken it all the same."""
        self.refused: set[str] = set()
        self.invalid: set[str] = set()
        self.confirms_before_it_fails: set[str] = set()
        self.sending = asyncio.Event()
        """Cleared by a test that wants sending to take its time."""
        self.sending.set()

    async def send(
        self, messages: Sequence[Message], *, timeout: float, patience: float | None = None
    ) -> None:
        ids = [message.event_id or "" for message in messages]
        self.calls.append(ids)
        self.patience = timeout if patience is None else min(timeout, patience)
        if bad := self.invalid.intersection(ids):
            raise InvalidEvent("headers", "are too many", min(bad))
        if self.is_silent:
            self.has += ids
            await asyncio.sleep(self.patience)
            raise PublishTimeout("no confirm", [SendFate.UNKNOWN] * len(ids))
        if self.is_away:
            raise BrokerUnreachable(
                self.url, "nobody there", self._take(messages, self.confirms_before_it_fails)
            )
        try:
            async with asyncio.timeout(self.patience):
                await self.sending.wait()
        except TimeoutError:
            raise PublishTimeout("no confirm", [SendFate.NOT_SENT] * len(ids)) from None
        fates = self._take(messages, set(ids) - self.refused)
        if SendFate.NOT_SENT in fates:
            raise PublishRefused("a queue is full", fates)

    def as_transport(self) -> Transport:
        """What nobody asks for in these tests is not there."""
        return cast("Transport", self)

    def _take(self, messages: Sequence[Message], taken: set[str]) -> list[SendFate]:
        fates: list[SendFate] = []
        for message in messages:
            event_id = message.event_id or ""
            if event_id in taken:
                self.has.append(event_id)
                self.delays[event_id] = message.delay
            fates.append(SendFate.CONFIRMED if event_id in taken else SendFate.NOT_SENT)
        return fates
