"""The kinds of store that the suite runs on, each seen through one small value.

A new kind is a line in `KINDS`, its address in `conftest.address_of`, how a program of the user's reaches it
in `foreign.py`, and how it is made to hang in `conftest.hanging_place`.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import pytest

from eventbus.embedded import EmbeddedTransport
from eventbus.embedded.options import EmbeddedOptions
from eventbus.embedded.url import path_from_url
from eventbus.stores.opening import store_for
from eventbus.stores.options import StoreOptions
from tests.conformance.process import Process

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from eventbus.store import Store

QUICK: Final = StoreOptions(lease=1.0, timeout=60.0)
"""The dead are noticed while a test waits."""
STEADY: Final = StoreOptions(lease=60.0, timeout=60.0)
"""The living are never taken for dead, however long the machine stands still."""


@dataclass(frozen=True)
class Kind:
    name: str
    shared: bool
    """Whether a second store, and another process, can open the same."""
    sql: bool
    """Whether it has an outbox and transactions; else it is an inbox only."""


KINDS: Final = (
    Kind("memory", shared=False, sql=False),
    Kind("sqlite", shared=True, sql=True),
    Kind("sqlite-memory", shared=False, sql=True),
    Kind("postgres", shared=True, sql=True),
    Kind("redis", shared=True, sql=False),
    Kind("embedded", shared=True, sql=True),  # in the embedded transport's own file, written by its writer
)

ALL: Final = tuple(kind.name for kind in KINDS)


def _for(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("place", names, indirect=True)


SHARED: Final = _for(*(kind.name for kind in KINDS if kind.shared))
SQL: Final = _for(*(kind.name for kind in KINDS if kind.sql))
SHARED_SQL: Final = _for(*(kind.name for kind in KINDS if kind.shared and kind.sql))
INBOX_ONLY: Final = _for(*(kind.name for kind in KINDS if not kind.sql))
FEATURES: Final = _for("sqlite-memory", "postgres")
"""For what is made of streams: their own tests show that the other kinds of SQLite keep them alike."""
SQLITE_FILES: Final = _for("sqlite", "embedded")


@dataclass(frozen=True)
class Place:
    """One store under test: how to reach it, from here and from another process."""

    kind: str
    url: str

    @asynccontextmanager
    async def opened(self, options: StoreOptions = STEADY) -> AsyncGenerator[Store]:
        """Another store at this place."""
        if self.kind != "embedded":
            store = store_for(self.url, options)
            await store.open()
            try:
                yield store
            finally:
                await store.close()
            return
        transport = EmbeddedTransport(path_from_url(self.url), EmbeddedOptions(busy_timeout=options.timeout))
        await transport.open()
        try:
            store = store_for(self.url, options, writing=transport)
            await store.open()
            try:
                yield store
            finally:
                await store.close()
        finally:
            await transport.close()

    def process(self, *command: str, log: Path) -> AbstractAsyncContextManager[Process]:
        """A process of its own that does one thing to this store; see `program.py`."""
        module = "tests.conformance.store.program"
        return Process.started(module, self.kind, self.url, *command, log=log)

    @property
    def path(self) -> str:
        """Of a file."""
        return path_from_url(self.url)

    @property
    def parameter(self) -> str:
        """How a statement writes its first parameter."""
        return "$1" if self.kind == "postgres" else "?"


def quick(**changes: object) -> StoreOptions:
    return replace(QUICK, **changes)  # type: ignore[arg-type]
