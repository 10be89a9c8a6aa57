"""What can be tuned about the embedded transport; every default is right for a laptop or one small server."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from eventbus.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class EmbeddedOptions:
    """Durations in seconds of real time, sizes in bytes."""

    synchronous: Literal["full", "normal"] = "full"
    """`full`: what `send` has confirmed survives a power failure. `normal`: only the death of all processes;
    a power failure may take the last fraction of a second. Several times faster on slow disks."""
    busy_timeout: float = 10.0
    """How long to try for the file while other processes write; then a typed error."""
    poll_interval: float = 0.04
    """How often to look whether another process has written, only while somebody here waits; four times as
    often when something has just come. It bounds how late a consumer hears of what others publish."""
    heartbeat: float = 1.0
    """How often a process says that it lives, and looks after the leases of those that no longer do."""
    session_expiry: float = 5.0
    """Without a heartbeat for so long a process counts as dead: what it held is handed to others."""
    delivery_limit: int = 20
    """A message handed over more often than this without being settled becomes a dead letter."""
    careful_after: int = 3
    """What was handed over so often and never settled may be what kills its process, and takes along all that
    is in flight there: from then on a process gets one of these at a time, so that the others survive it."""
    log_max_age: timedelta | None = timedelta(days=7)
    """Older history is trimmed; None keeps it."""
    log_max_bytes: int | None = 4 * 1024**3
    """While the file has more in use than this, its oldest history is trimmed; None: no limit.
    About half of this stays the history's where other things fill the file; then an error is logged."""

    create: bool = True
    """Whether a file that is not there is made; else it counts as a broker that is not there."""

    def __post_init__(self) -> None:
        if not 0 < 2 * self.heartbeat <= self.session_expiry:
            raise ConfigurationError(
                f"a heartbeat every {self.heartbeat:g} s and a session that expires after "
                f"{self.session_expiry:g} s: let it live for two heartbeats at least."
            )
