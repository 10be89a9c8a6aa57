"""SQLite says the same of a file that may not be opened and of a process that may open no more files."""

from __future__ import annotations

import errno
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Final

_TAKEN: Final = 3
"""By a connection: the file, its -wal and its -shm."""


def too_many_open() -> str | None:
    """What is wrong where no connection can have its files; None where it can."""
    with ExitStack() as stack:
        try:
            for _ in range(_TAKEN):
                stack.enter_context(Path(os.devnull).open("rb"))
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                return "too many open files: raise the limit (ulimit -n), or find out what keeps them open"
    return None
