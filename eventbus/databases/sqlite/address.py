"""Where a SQLite database is: `sqlite:///file.db`, `sqlite:////absolute.db` or `sqlite://:memory:`."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

from eventbus.errors import ConfigurationError, shorten
from eventbus.store import StoreUnavailable

_SCHEME: Final = "sqlite://"
_MEMORY: Final = ":memory:"


def settled(url: str) -> str:
    """`url` as it is; of a relative one of ours, what names the same file from every working directory."""
    path = url.removeprefix(f"{_SCHEME}/")
    if path in (url, "", _MEMORY) or unquote(path).startswith("/"):
        return url
    try:
        return f"{_SCHEME}/{quote(str(Path.cwd()))}/{path}"
    except OSError:  # that directory was removed: whoever opens the file is told
        return url


@dataclass(frozen=True, slots=True)
class Address:
    url: str
    target: str
    """What SQLite opens."""
    file: Path | None
    """None: a database in memory, of this object alone; several connections share it."""
    what: str
    """What is kept there, in a word for people: store, archive."""

    @classmethod
    def of(cls, url: str, what: str = "store") -> Address:
        """Raises `ConfigurationError` for a URL that names no file."""
        if url in (_SCHEME + _MEMORY, f"{_SCHEME}/{_MEMORY}"):
            return cls(url, f"file:/eventbus-{uuid.uuid4().hex}?vfs=memdb", None, what)
        rest = url.removeprefix(_SCHEME)
        path = unquote(rest[1:])
        if rest == url or not rest.startswith("/") or not path or path.endswith("/") or set("?#") & set(rest):
            raise ConfigurationError(
                f"{shorten(url)!r} names no {what}: use sqlite:///eventbus.db for a file in the working "
                "directory, sqlite:////var/lib/shop/eventbus.db for an absolute path (four slashes), "
                "or sqlite://:memory:. A ? or # in a name is written %3F or %23."
            )
        if "\0" in path:
            raise ConfigurationError(f"{shorten(url)!r}: no file has a NUL in its name.")
        # Absolute now: some connections are made later on, from another working directory maybe.
        file = Path(path).absolute()
        return cls(url, str(file), file, what)

    def unavailable(self, problem: str) -> StoreUnavailable:
        return StoreUnavailable(self.url, problem, self.what)

    def check(self) -> None:
        """Raises `ConfigurationError` where no file can be."""
        if self.file is None:
            return
        if self.file.is_dir():
            raise ConfigurationError(
                f"{self.file} is a directory: name a file, such as {self.file / 'eventbus.db'}."
            )
        if not self.file.parent.is_dir():
            raise ConfigurationError(
                f"no {self.what} can be in {self.file}: the directory {self.file.parent} does not exist. "
                "Create it, or name a file somewhere else."
            )
