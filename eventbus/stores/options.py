"""What can be tuned about a store; every default is right for most services."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from eventbus.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """Durations in seconds of real time. A store heeds those that mean something to it."""

    lease: float = 15.0
    """Without a sign of life for so long a process counts as dead, and what it had claimed can be claimed
    again; it says that it lives three times as often."""
    timeout: float = 10.0
    """How long anything that is asked of the database may take, waiting for its locks included; then
    `StoreUnavailable`."""
    keep_sent: timedelta | None = None
    """How long the outbox keeps what the broker has; None: it is removed at once."""
    poll_interval: float = 0.1
    """How often to look whether somebody else has written to the outbox, where the database does not say so;
    only while somebody here waits."""
    bus: str = ""
    """Which bus's events its outbox keeps; see `whose.bus_of`. What others have put there is left to them;
    what says of no bus is anybody's."""
    schema: str = "eventbus"
    """What our tables live in (PostgreSQL), what our keys begin with (Redis)."""
    inbox_limit: int = 1_000_000
    """How many keys the inbox in memory remembers, and up to a quarter more; it forgets what was handled
    first."""

    def __post_init__(self) -> None:
        for name in ("lease", "timeout", "poll_interval"):
            if not getattr(self, name) > 0:
                raise ConfigurationError(f"{name}={getattr(self, name)!r}: seconds, more than none.")
        if self.keep_sent is not None and self.keep_sent < timedelta():
            raise ConfigurationError(
                f"keep_sent={self.keep_sent!r}: a time to keep, or None to remove at once."
            )
        if self.inbox_limit < 1:
            raise ConfigurationError(f"inbox_limit={self.inbox_limit!r}: room for one key at least.")
