"""How many deliveries a consumer takes at a time after crashes: a message that kills its process dies alone.

Such a message takes everything with it that was handed over beside it, again and again, until the queue's
delivery limit puts the innocent ones with the dead letters too. The broker counts how often it took each
back; so whoever starts looks at that count, before anything is handled.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

from eventbus.rabbitmq.ask import Lost

SUSPICIOUS: Final = 3
"""Times that a delivery came back unsettled: less is what restarts and lost connections do to some."""
_LONGEST_PROOF: Final = 50


class Stage(Enum):
    LOOKING = auto()
    """Everything at a time, and nothing handed to a handler yet."""
    CAREFUL = auto()
    """One at a time."""
    TRUSTING = auto()
    """Everything at a time, and nothing looked at any more: this process has survived what it got."""


class BeginAgain(Lost):
    """The consumer ends itself: a prefetch cannot be changed, only another consumer can have another one."""


class Caution:
    """Decides for one consumption. It is over for good when nothing that could kill is left in front."""

    def __init__(self, prefetch: int, *, is_needed: bool = True) -> None:
        """Not needed for dead letters: they come back from every look at them, and nobody handles them."""
        self._most = prefetch
        self._stage = Stage.LOOKING if is_needed and prefetch > 1 else Stage.TRUSTING
        self._above_suspicion = 0
        self.is_over = self._stage is Stage.TRUSTING
        """Nothing is judged any more."""

    @property
    def prefetch(self) -> int:
        return 1 if self._stage is Stage.CAREFUL else self._most

    def handing_over(self) -> None:
        """What has come so far goes to the handlers."""
        if self._stage is Stage.LOOKING:
            self._trust()

    def _trust(self) -> None:
        self._stage = Stage.TRUSTING
        self.is_over = True

    def judge(self, returns: int) -> BeginAgain | None:
        """Why another consumer is needed, before the delivery that came back so often is handed over."""
        if self._stage is Stage.TRUSTING:
            return None
        is_suspect = returns >= SUSPICIOUS
        match self._stage:
            case Stage.LOOKING if is_suspect:
                self._stage = Stage.CAREFUL
                return BeginAgain(
                    f"an event came back {returns} times without an outcome: it may have killed its workers"
                )
            case Stage.CAREFUL if is_suspect:
                self._above_suspicion = 0
            case Stage.CAREFUL:
                self._above_suspicion += 1
                if self._above_suspicion > min(self._most, _LONGEST_PROOF):
                    self._trust()
                    return BeginAgain("what could have killed workers is through")
            case _:
                pass
        return None
