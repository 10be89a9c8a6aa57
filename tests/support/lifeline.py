"""What a test run starts must not outlive it, whatever ends the run: not its servers, not its files.

A lifeline is a directory whose file `held` is locked by the process that owns it. A reaper, a small process
of its own, waits for that lock. The kernel gives it up when the owner closes it or dies, by kill -9 too;
then the reaper kills every process group written down in the directory and removes the directory, and
what a killed PostgreSQL leaves outside of it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path


class Lifeline:
    """Held by the process that makes it, until cut."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="eventbus-test-"))
        (self.directory / "groups").mkdir()
        self._held = os.open(self.directory / "held", os.O_CREAT | os.O_RDWR)
        fcntl.flock(self._held, fcntl.LOCK_EX)
        self._reaper = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, str(self.directory)],
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # an interrupt at the terminal is for the tests, not for this
        )

    def cut(self) -> None:
        """Everything on it has ended and its directory is gone when this returns."""
        os.close(self._held)
        self._reaper.wait(timeout=30)


def attach(directory: Path, group: int) -> None:
    """Ties a process group to the lifeline of `directory`; any process may do it."""
    (directory / "groups" / str(group)).touch()


def detach(directory: Path, group: int) -> None:
    """To be called before the group's leader is waited for: from then on its number may be another's."""
    (directory / "groups" / str(group)).unlink(missing_ok=True)


def free_shared_memory(home: Path) -> None:
    """Of a PostgreSQL whose home this is, and which was killed: the kernel keeps it for ever, and has only so
    many segments. Its key and number are the seventh line of the file (miscadmin.h of PostgreSQL)."""
    for left in home.glob("*/postmaster.pid"):
        with suppress(OSError):  # it has just ended in good order; there is no ipcrm
            lines = left.read_text().splitlines()
            if len(lines) > 6 and (numbers := lines[6].split()):  # written when it had got some
                subprocess.run(["ipcrm", "--shmem-id", numbers[-1]], check=False, stderr=subprocess.DEVNULL)


def _reap(directory: Path) -> None:
    with (directory / "held").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        for group in (directory / "groups").iterdir():
            with suppress(ProcessLookupError):
                os.killpg(int(group.name), signal.SIGKILL)
        for home in directory.iterdir():
            free_shared_memory(home)
        # A dying server may still be writing: what it adds while we remove is removed in the next round.
        for _ in range(100):
            shutil.rmtree(directory, ignore_errors=True)
            if not directory.exists():
                return


if __name__ == "__main__":
    _reap(Path(sys.argv[1]))
