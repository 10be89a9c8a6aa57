"""Starts the parts of a shop, says when they are ready, and leaves none of them behind."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from eventbus.settings import PREFIX
from services.demo import reaper
from services.shop import HOST, WORKER_READY, Part

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Mapping

STARTING: Final = 60.0
"""Seconds that the parts may take to become ready, all together."""
STOPPING: Final = 15.0
"""Seconds from SIGTERM to SIGKILL."""
ROOT: Final = Path(__file__).parent.parent.parent


class PartFailed(Exception):
    """A part ended by itself, or did not become ready; `said` is the end of its log."""

    def __init__(self, name: str, exit_code: int | None, said: str) -> None:
        self.name = name
        self.exit_code = exit_code
        self.said = said
        how = "did not become ready" if exit_code is None else f"ended with {exit_code}"
        super().__init__(f"{name} {how}: {said or 'it said nothing'}")


@dataclass(frozen=True, slots=True)
class Running:
    """A part that was started. It leads a process group of its own, so that Ctrl-C is ours to hand on."""

    part: Part
    process: asyncio.subprocess.Process
    log: Path

    def said(self, lines: int = 10) -> str:
        text = self.log.read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-lines:])


@dataclass(slots=True)
class Launcher:
    """All parts that were started here; `directory` is for all that they keep, for as long as they run."""

    directory: Path
    _pipe: int
    _running: list[Running] = field(default_factory=list[Running])

    @classmethod
    @asynccontextmanager
    async def open(cls) -> AsyncGenerator[Launcher]:
        """Stops at its end what still runs then, and removes the directory."""
        directory = Path(tempfile.mkdtemp(prefix="eventbus-shop-"))
        read, write = os.pipe()
        guard = subprocess.Popen(  # noqa: ASYNC220, S603  it returns at once, and the command is ours
            [sys.executable, "-I", "-S", reaper.__file__, str(directory)], stdin=read, start_new_session=True
        )
        os.close(read)
        launcher = cls(directory, write)
        try:
            yield launcher
        finally:
            await launcher.stop(*reversed(launcher._running))
            os.close(write)
            await asyncio.to_thread(guard.wait, 30)
            shutil.rmtree(directory, ignore_errors=True)

    async def start(self, parts: Iterable[Part]) -> list[Running]:
        """Start all of them and wait until all are ready; raises `PartFailed` for the first that is not."""
        started = [await self._start(part) for part in parts]
        deadline = time.monotonic() + STARTING
        for running in started:
            while not self._is_ready(running):
                if running.process.returncode is not None:
                    raise PartFailed(running.part.name, running.process.returncode, running.said())
                if time.monotonic() > deadline:
                    raise PartFailed(running.part.name, None, running.said())
                await asyncio.sleep(0.02)
        return started

    async def stop(self, *running: Running) -> None:
        """Each may finish what it has begun, within `STOPPING` seconds; then it is killed."""
        for each in running:
            with suppress(ProcessLookupError):
                each.process.terminate()
        deadline = time.monotonic() + STOPPING
        for each in running:
            try:
                async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                    await each.process.wait()
            except TimeoutError:
                await self.kill(each)
            self._forget(each)

    async def kill(self, running: Running) -> None:
        """At once, as kill -9 does."""
        with suppress(ProcessLookupError):
            os.killpg(running.process.pid, signal.SIGKILL)
        await running.process.wait()
        self._forget(running)

    def failed(self) -> PartFailed | None:
        """A part that has ended although nobody stopped it."""
        for each in self._running:
            if each.process.returncode is not None:
                return PartFailed(each.part.name, each.process.returncode, each.said())
        return None

    async def _start(self, part: Part) -> Running:
        log = self.directory / f"{part.name}.log"
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *part.command,
                cwd=ROOT,
                env=environment_of(part),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        os.write(self._pipe, b"+%d\n" % process.pid)
        running = Running(part, process, log)
        self._running.append(running)
        return running

    def _forget(self, running: Running) -> None:
        if running in self._running:
            self._running.remove(running)
            os.write(self._pipe, b"-%d\n" % running.process.pid)

    @staticmethod
    def _is_ready(running: Running) -> bool:
        if running.part.port is None:
            return WORKER_READY in running.said(1000)
        with closing(socket.socket()) as probe:
            probe.settimeout(0.5)
            return probe.connect_ex((HOST, running.part.port)) == 0


def environment_of(part: Part, ours: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Ours, except for what would lead the part to a broker, a store or a proxy that is not the shop's."""
    kept = {name: value for name, value in ours.items() if not name.startswith(PREFIX)}
    return kept | {"NO_PROXY": HOST, "no_proxy": HOST} | part.environment


def free_ports(count: int) -> list[int]:
    """Ports on this machine that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind((HOST, 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
