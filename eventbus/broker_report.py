"""What a broker says of itself: its version, its alarms, who is connected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

BLOCKED: Final = "blocked"
"""The state of a connection that has published something during an alarm. In state `blocking` it has not, so
nobody waits; `flow` is RabbitMQ's ordinary brake on a fast publisher."""


@dataclass(frozen=True, slots=True)
class BrokerConnection:
    """One connection to the broker, of us or of anybody else who uses the same virtual host."""

    name: str
    """As the client calls itself, else its address."""
    user: str
    state: str
    """The broker's word: `running`, `flow`, `blocking`, `blocked` …"""
    purpose: str | None = None
    """What eventbus uses it for, such as `publishing`; None for other programs."""

    @property
    def is_held_up(self) -> bool:
        """Whether the broker takes no messages from it."""
        return self.state == BLOCKED


@dataclass(frozen=True, slots=True)
class BrokerReport:
    """What is known of a broker; None where it cannot be known, and `unknown` says why."""

    product: str
    version: str
    oldest_version: str
    """The oldest one that will do."""
    handling_limit: float | None = None
    """See `Transport.handling_limit`."""
    alarms: tuple[str, ...] | None = ()
    """Each as `memory alarm on rabbit@host`. While there is one, nobody can publish."""
    clock_ahead: float | None = 0.0
    """Seconds by which the broker's clock is ahead of ours, at least; 0 where it may be right."""
    connections: tuple[BrokerConnection, ...] | None = ()
    held_back: int | None = 0
    """Retries and delayed events that are due, and that their queue has not taken: it is full, mostly."""
    undelivered: int | None = 0
    """Those that were due when their queue was not there: they lie among the dead letters of
    `undelivered_among`."""
    undelivered_among: str = ""
    features: Mapping[str, bool | None] = field(default_factory=dict[str, bool | None])
    """What is relied on beside the version, and whether the broker has it."""
    management: bool | None = None
    """Whether the management API answers, and lets us in; None where there is none, nor any need of one."""
    unknown: Mapping[str, str] = field(default_factory=dict[str, str])
    """What could not be found out, and why not."""

    @property
    def held_up(self) -> tuple[BrokerConnection, ...]:
        """The connections that the broker takes no messages from."""
        return tuple(each for each in self.connections or () if each.is_held_up)

    @property
    def is_too_old(self) -> bool:
        return numbers_of(self.version) < numbers_of(self.oldest_version)


def numbers_of(version: str) -> tuple[int, ...]:
    """`4.0.5` and `4.0.5-rc.1` as (4, 0, 5), so that versions compare; empty for what is no version."""
    numbers: list[int] = []
    for part in version.partition("-")[0].partition("+")[0].split("."):
        if not (part.isascii() and part.isdigit()):
            break
        numbers.append(int(part))
    return tuple(numbers)
