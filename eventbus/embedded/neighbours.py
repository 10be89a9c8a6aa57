"""Whether another process of this machine is gone, without waiting for its heartbeat to fail."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Final

_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACE: Final = Path("/proc/self/ns/pid")


@cache
def house() -> str:
    """Of all processes whose numbers this one can ask about: one boot of one machine, one container.

    Empty where nothing tells; then nobody has neighbours.
    """
    try:
        return f"{_BOOT.read_text(encoding='ascii').strip()}/{_NAMESPACE.readlink().name}"
    except OSError:
        return ""


def is_gone(process: int) -> bool:
    """For a process of our house. A number that was given to another one since counts as alive."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
