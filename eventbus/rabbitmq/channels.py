"""How many channels a connection may have. RabbitMQ answers one too many by cutting the connection, with all
that are on it: whoever would be the one is refused here."""

from __future__ import annotations

import time
from typing import Final

from eventbus.rabbitmq.ask import TOO_MANY_CHANNELS, Refused

REMEMBERED: Final = 300.0
"""Seconds. All connections of a user share the user's limit, and others may have ended meanwhile. To find out
cuts this one again, if none has."""
_NOT_ALLOWED: Final = 530


class ChannelLimit:
    """What is known of it on one link."""

    def __init__(self) -> None:
        self._most = 0
        """So many there were when one more was refused; 0: that has not happened."""
        self._problem = ""
        self._until = 0.0

    def check(self, count: int, channel_max: int) -> None:
        """Raises `Refused` where one more than `count` would be too many. `channel_max`: 0 is no limit."""
        if channel_max and count >= channel_max:
            raise Refused(_NOT_ALLOWED, f"{TOO_MANY_CHANNELS} has reached the channel_max of {channel_max}")
        if self._most and count >= self._most and time.monotonic() < self._until:
            raise Refused(_NOT_ALLOWED, f"{self._problem}; this connection has {count}")

    def learn(self, count: int, refusal: Refused) -> None:
        """The broker has refused one more than `count`."""
        if refusal.is_of_channels:
            self._most, self._problem, self._until = count, refusal.problem, time.monotonic() + REMEMBERED
