"""A progress bar on stderr, where that is a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager


@contextmanager
def progress(doing: str, total: int, begun: int = 0) -> Generator[Callable[[int], None]]:
    """Tell what is yielded how many of `total` it is by now. `begun`: so many were done before."""
    if not sys.stderr.isatty():
        yield _nowhere
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    began = time.monotonic()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(file=sys.stderr), redirect_stdout=False) as bar:
        task = bar.add_task(doing, total=total, completed=begun, rate="")

        def tell(done: int) -> None:
            rate = (done - begun) / max(0.001, time.monotonic() - began)
            bar.update(task, completed=min(done, total), rate=f"{rate:,.0f}/s")

        yield tell


def _nowhere(_: int) -> None:
    """A file gets no bar."""
