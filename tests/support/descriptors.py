"""A process that may open no more than a few files."""

from __future__ import annotations

import gc
import os
import resource
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path


def open_descriptors() -> int:
    """How many this process has."""
    gc.collect()
    return len(_numbers())


@contextmanager
def descriptors_left(count: int) -> Iterator[None]:
    """Inside of this block only so many more can be opened."""
    gc.collect()  # what it would close meanwhile would be more
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with ExitStack() as stack:
        left = [os.open(os.devnull, os.O_RDONLY) for _ in range(count)]
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(_numbers()) + 1, hard))
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        try:
            while True:
                stack.callback(os.close, os.open(os.devnull, os.O_RDONLY))
        except OSError:
            pass  # all below the limit are taken
        for descriptor in left:
            os.close(descriptor)
        yield


def _numbers() -> list[int]:
    return [int(each.name) for each in Path("/proc/self/fd").iterdir()]
