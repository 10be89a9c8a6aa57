"""What the kernel knows of processes that are not children of ours; Linux only."""

from __future__ import annotations

from pathlib import Path


def alive(pid: int) -> bool:
    """A process that ended counts as dead even where nobody has waited for it yet."""
    found = _state_and_parent(pid)
    return found is not None and found[0] not in "ZX"


def stopped(pid: int) -> bool:
    """By SIGSTOP, and not yet continued."""
    found = _state_and_parent(pid)
    return found is not None and found[0] == "T"


def children(pid: int) -> list[int]:
    """Those it has started itself and that have not ended."""
    everyone = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
    return [other for other in everyone if _parent(other) == pid and alive(other)]


def _parent(pid: int) -> int | None:
    found = _state_and_parent(pid)
    return None if found is None else found[1]


def _state_and_parent(pid: int) -> tuple[str, int] | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name of the program stands in parentheses before these, and may hold spaces and parentheses itself.
    state, parent = stat.rpartition(")")[2].split()[:2]
    return state, int(parent)
