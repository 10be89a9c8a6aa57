"""Another process, and what it says, one line at a time."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.eventually import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

ROOT = Path(__file__).parents[2]


class Process:
    """A Python module that runs in a process of its own, until it is killed."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self.said: list[str] = []
        self._process = process
        self._log = log
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    @asynccontextmanager
    async def started(cls, module: str, *arguments: str, log: Path) -> AsyncGenerator[Process]:
        """`log` gets what it writes to stderr. It is killed when the context is left, if not before."""
        with log.open("wb") as stderr:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", module, *arguments),
                env=os.environ | {"PYTHONPATH": str(ROOT)},  # it works in the directory of the test
                stdin=asyncio.subprocess.PIPE,  # it ends when this does, so it does not outlive the tests
                stdout=asyncio.subprocess.PIPE,
                stderr=stderr,
            )
        running = cls(process, log)
        try:
            yield running
        finally:
            await running.kill()

    @property
    def pid(self) -> int:
        return self._process.pid

    async def says(self, line: str, *, within: float) -> None:
        """Returns when it has said this line."""
        await self._until(lambda: line in self.said, f"{line!r}", within)

    async def says_lines(self, count: int, *, within: float) -> None:
        """Returns when it has said so many lines."""
        await self._until(lambda: len(self.said) >= count, f"{count} lines", within)

    async def ends(self, *, within: float) -> None:
        """Returns when it has ended by itself."""
        await eventually(lambda: self._process.returncode is not None, within=within)

    def freeze(self) -> None:
        """It lives, and does nothing."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    async def kill(self) -> None:
        """kill -9; returns when it is dead and all that it said has been heard."""
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGKILL)
        await self._process.wait()
        await self._listening

    async def _listen(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            if line.endswith(b"\n"):  # else it was killed in the middle of saying it
                self.said.append(line.decode().rstrip("\n"))

    async def _until(self, said: Callable[[], bool], what: str, within: float) -> None:
        try:
            await eventually(lambda: said() or self._process.returncode is not None, within=within)
        finally:
            assert said(), f"it did not say {what}, but {self.said[-5:]}\n{self._log.read_text()[-4000:]}"
