"""Ends what the demonstration has started, should the demonstration itself be killed.

A process of its own that reads from a pipe: `+123` when process group 123 was started, `-123` when it has
ended. The kernel closes the pipe when the other side is gone, however it went; whatever is left then is
killed, and the directory given is removed.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from contextlib import suppress
from pathlib import Path


def main(directory: Path) -> None:
    groups: set[int] = set()
    for line in sys.stdin:
        group = int(line[1:])
        if line.startswith("+"):
            groups.add(group)
        else:
            groups.discard(group)
    for group in groups:
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
    shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
