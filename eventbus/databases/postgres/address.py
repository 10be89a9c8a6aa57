"""Where a PostgreSQL database is: `postgresql://user:password@host:5432/database`."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from eventbus.errors import ConfigurationError
from eventbus.store import StoreUnavailable


@dataclass(frozen=True, slots=True)
class Address:
    url: str
    """Without the password and the parameters, which may hold one."""
    dsn: str = field(repr=False)
    """What the driver connects to."""
    what: str
    """What is kept there, in a word for people: store, archive."""

    @classmethod
    def of(cls, url: str, what: str = "store") -> Address:
        """Raises `ConfigurationError` for what cannot be read, without quoting it: it may hold a password."""
        scheme, _, place = url.partition("://")
        place = place.partition("?")[0]
        credentials, found, rest = place.rpartition("@")
        try:
            parts = urlsplit(url)
            # A driver takes what stands behind a stray / for the name of the database, or worse.
            readable = "/" not in credentials and parts.fragment == ""
        except ValueError:
            readable = False
        if not readable or any(character in url for character in "\0\r\n\t "):
            raise ConfigurationError(
                f"the {what}'s URL cannot be read: use postgresql://user:password@host:5432/database, with "
                "/, ?, #, @ and [ in the password written %2F, %3F, %23, %40 and %5B."
            )
        user = credentials.partition(":")[0]
        return cls(f"{scheme}://{user}{found if user else ''}{rest}", url, what)

    def unavailable(self, problem: str) -> StoreUnavailable:
        return StoreUnavailable(self.url, problem, self.what)
