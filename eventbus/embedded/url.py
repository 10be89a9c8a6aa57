"""`sqlite:///events.db` and the path it means."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

from eventbus.errors import ConfigurationError, shorten

MEMORY: Final = ":memory:"

_SCHEME: Final = "sqlite://"


def path_from_url(url: str) -> str:
    """The path that `sqlite:///relative.db`, `sqlite:////absolute.db` or `sqlite://:memory:` names.

    Raises `ConfigurationError` for anything else.
    """
    if url in (_SCHEME + MEMORY, f"{_SCHEME}/{MEMORY}"):
        return MEMORY
    rest = url.removeprefix(_SCHEME)
    path = unquote(rest[1:])
    if rest == url or not rest.startswith("/") or not path or path.endswith("/"):
        raise _not_a_url(url)
    if "?" in rest or "#" in rest or "\0" in path:
        raise _not_a_url(url)
    return path


def url_of(path: str) -> str:
    """The URL that `path_from_url` turns into `path`; fit for logs, there are no secrets in it."""
    return _SCHEME + MEMORY if path == MEMORY else f"{_SCHEME}/{quote(path)}"


def place_of(path: str) -> str:
    """`path`, from whatever working directory it is opened."""
    return path if path in ("", MEMORY) else str(Path(path).absolute())


def _not_a_url(url: str) -> ConfigurationError:
    return ConfigurationError(
        f"{shorten(url)!r} names no embedded bus: use sqlite:///events.db for a file in the working "
        "directory, sqlite:////var/lib/shop/events.db for an absolute path (four slashes), "
        "or sqlite://:memory: for one that ends with its process. A ? or # in a name is written %3F or %23."
    )
