"""What a check has found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """From the worst on."""

    SERIOUS = "serious"
    """Events wait, get lost on their way, or will, until somebody does something."""
    WARNING = "warning"
    """Nothing is broken; look at it before it is."""
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    severity: Severity
    what: str
    fix: str
    """What to do: a command that can be pasted, wherever there is one."""
