"""The process of a server that a test may kill, freeze and start again, with all that it has forked.

Its children are found by their parent: each backend of PostgreSQL leads a process group of its own.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

from tests.support.eventually import eventually_sync
from tests.support.lifeline import attach, detach, free_shared_memory
from tests.support.processes import alive, children


class ServerProcess:
    """It lives in `home`, a directory of its own below that of the lifeline, and ends with the lifeline."""

    def __init__(self, lifeline: Path, name: str, *, user: str | None = None) -> None:
        """`user`: who it runs as, where that is not who runs the tests; only root can say so."""
        self._lifeline = lifeline
        self._user = user
        self.home = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=lifeline))
        if user is not None:
            shutil.chown(self.home, user)
            lifeline.chmod(0o711)  # the way to its home
        self.pid = 0  # of the one started last
        self._process: subprocess.Popen[bytes] | None = None
        self._paused: list[int] = []

    def prepare(self, *command: str) -> None:
        """Runs a command to its end, as the server would."""
        process = self._spawn(*command)
        try:
            assert process.wait(timeout=60) == 0, f"{command[0]} failed\n{self.last_words()}"
        finally:
            process.kill()
            process.wait(timeout=30)

    def start(self, *command: str) -> None:
        assert self._process is None, "the server runs already"
        self._process = self._spawn(*command)
        self.pid = self._process.pid
        attach(self._lifeline, self.pid)

    def end(self, how: signal.Signals) -> None:
        """Returns when all of it has ended; does nothing where it does not run."""
        if self._process is None:
            return
        if self._process.poll() is not None:  # by itself, or ended by somebody else
            family: list[int] = []
        elif how == signal.SIGKILL:
            family = self.pause()
            for child in family:
                with suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
        else:
            family = children(self._process.pid)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, how)
        try:
            self._process.wait(timeout=30)
            # What is left would hold on to the memory and the sockets that the next start needs.
            eventually_sync(lambda: not any(map(alive, family)), within=30)
        finally:
            detach(self._lifeline, self._process.pid)
            self._forget_paused()
            self._process = None

    def remove(self) -> None:
        self.end(signal.SIGKILL)
        free_shared_memory(self.home)
        shutil.rmtree(self.home, ignore_errors=True)

    def pause(self) -> list[int]:
        """Stops it and its children, whose numbers it returns: a silent peer, as after a cut cable."""
        os.killpg(self._running.pid, signal.SIGSTOP)  # first, so that it forks no more
        for child in children(self._running.pid):
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGSTOP)
            if child not in self._paused:
                self._paused.append(child)
                attach(self._lifeline, child)  # stopped, it cannot notice that its parent is gone
        return list(self._paused)

    def resume(self) -> None:
        for child in self._paused:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGCONT)
        self._forget_paused()
        os.killpg(self._running.pid, signal.SIGCONT)

    @property
    def is_running(self) -> bool:
        """Paused counts as running."""
        return self._process is not None

    def assert_alive(self) -> None:
        """AssertionError with its last words when it has ended by itself."""
        assert self._running.poll() is None, f"the server ended at once\n{self.last_words()}"

    def last_words(self) -> str:
        return (self.home / "output").read_text(errors="replace")[-4000:]

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "the server does not run"
        return self._process

    def _forget_paused(self) -> None:
        for child in self._paused:
            detach(self._lifeline, child)
        self._paused = []

    def _spawn(self, *command: str) -> subprocess.Popen[bytes]:
        with (self.home / "output").open("ab") as output:
            return subprocess.Popen(
                command,
                env={"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", "HOME": str(self.home)},
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                user=self._user,
                group=None if self._user is None else _group_of(self._user),
                extra_groups=None if self._user is None else [],
            )


def _group_of(user: str) -> int:
    return pwd.getpwnam(user).pw_gid
