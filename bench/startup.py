"""What a user waits for: `import eventbus` and `eventbus --version`, as whole processes."""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import eventbus": [sys.executable, "-c", "import eventbus"],
    "all its names": [sys.executable, "-c", "from eventbus import *"],
    "eventbus --version": [str(Path(sys.executable).with_name("eventbus")), "--version"],
}


async def run(rounds: int, console: Console) -> None:
    table = Table("command", "seconds, median", "least", "most", title="Start", title_justify="left")
    for name, command in COMMANDS.items():
        times = [await _time(command) for _ in range(rounds + 1)][1:]
        table.add_row(name, *(f"{value:.3f}" for value in (statistics.median(times), min(times), max(times))))
    console.print(table)


async def _time(command: list[str]) -> float:
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
    if await process.wait() != 0:
        raise RuntimeError(f"{' '.join(command)} failed")
    return time.perf_counter() - began
