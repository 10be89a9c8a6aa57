"""Who removed or changed which dead letter, when and why: one JSON object a line, appended to a file."""

from __future__ import annotations

import asyncio
import getpass
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from eventbus.clock import Clock, SystemClock
from eventbus.dead_letters.identity import id_of
from eventbus.dead_letters.masking import NOTHING_SECRET, masked
from eventbus.errors import ConfigurationError
from eventbus.secret import Secrets
from eventbus.transport import DeadLetterEntry

_PRIVATE: Final = 0o600


@dataclass(frozen=True, slots=True)
class AuditLog:
    """A file that is only ever appended to, and is on the disk before anything is removed.

    It has the hash of a body and never the body: what is private is not kept longer for having been removed.
    """

    path: Path
    who: str
    clock: Clock
    secrets: Secrets = NOTHING_SECRET
    """Whose values do not stand in an error either."""

    @classmethod
    def at(
        cls,
        path: Path,
        who: str | None = None,
        clock: Clock | None = None,
        secrets: Secrets = NOTHING_SECRET,
    ) -> AuditLog:
        """`who`: by default the user of this process. `ConfigurationError` where it cannot be written."""
        log = cls(path, who or _user(), clock or SystemClock(), secrets)
        log._append(b"")
        return log

    async def write(
        self, action: str, queue: str, entries: Sequence[DeadLetterEntry], why: str, **more: str
    ) -> None:
        """One line for each; returns when they are on the disk."""
        lines = [json.dumps(self._line(action, queue, entry, why, more)) for entry in entries]
        await asyncio.to_thread(self._append, "".join(f"{line}\n" for line in lines).encode())

    def _line(
        self, action: str, queue: str, entry: DeadLetterEntry, why: str, more: Mapping[str, str]
    ) -> dict[str, object]:
        return {
            "at": self.clock.now().isoformat(),
            "who": self.who,
            "action": action,
            "why": why,
            "subscription": queue,
            "event_id": id_of(entry.message),
            "event_type": entry.message.routing_key,
            "reason": entry.reason,
            "error": masked(entry, self.secrets).error,
            "attempts": entry.attempts,
            "died_at": None if entry.died_at is None else entry.died_at.isoformat(),
            "body_sha256": hashlib.sha256(entry.message.body).hexdigest(),
            **more,
        }

    def _append(self, lines: bytes) -> None:
        try:
            file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, _PRIVATE)
            try:
                if lines and _is_torn(file):
                    lines = b"\n" + lines
                while lines:
                    lines = lines[os.write(file, lines) :]
                os.fsync(file)
            finally:
                os.close(file)
        except OSError as error:
            raise ConfigurationError(
                f"cannot write the audit log {self.path}: {error.strerror}. Nothing more was removed."
            ) from error


def _is_torn(file: int) -> bool:
    """Whether its last line was not written to the end: the disk was full, or the process was killed."""
    if not os.fstat(file).st_size:
        return False
    os.lseek(file, -1, os.SEEK_END)
    return os.read(file, 1) != b"\n"


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container's user may have no name
        return str(os.getuid()) if hasattr(os, "getuid") else "unknown"
