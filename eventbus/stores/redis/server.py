"""How the rooms of the store reach Redis: bounded in time, with its errors translated."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from redis import asyncio as redis_asyncio
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)

from eventbus.errors import ConfigurationError, describe
from eventbus.store import StoreUnavailable

_READABLE: Final = "use redis://user:password@host:6379/0, or rediss:// with TLS"
_REFUSED: Final = ("NOAUTH", "WRONGPASS", "NOPERM")
"""What a person has to mend before it can work."""


@dataclass(frozen=True, slots=True)
class Address:
    url: str
    """Without the password and the parameters, which may hold one."""
    dsn: str = field(repr=False)
    """What the driver connects to."""

    @classmethod
    def of(cls, url: str) -> Address:
        """Raises `ConfigurationError` for what cannot be read, without quoting it: it may hold a password."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            host = port = None
            parts = urlsplit("")
        number = parts.path.removeprefix("/")
        if not host or parts.fragment or (number and not number.isdecimal()):
            raise ConfigurationError(f"the store's URL cannot be read: {_READABLE}.")
        user = f"{parts.username}@" if parts.username else ""
        place = f"{host}:{port}" if port else host
        return cls(f"{parts.scheme}://{user}{place}/{number or 0}", url)


class Server:
    """One Redis, not a cluster. Its connections are made when they are needed."""

    def __init__(self, address: Address, timeout: float) -> None:
        self.address = address
        self._timeout = timeout
        self._is_closed = False
        try:
            self.client = redis_asyncio.Redis.from_url(  # pyright: ignore[reportUnknownMemberType]  their keywords
                address.dsn, decode_responses=True, socket_timeout=timeout, socket_connect_timeout=timeout
            )
        except ValueError:
            raise ConfigurationError(f"the store's URL cannot be read: {_READABLE}.") from None

    @asynccontextmanager
    async def asked(self) -> AsyncGenerator[redis_asyncio.Redis]:
        """Within the timeout. Raises `StoreUnavailable`."""
        if self._is_closed:
            raise StoreUnavailable(self.address.url, "it is not open")
        try:
            async with asyncio.timeout(self._timeout):
                yield self.client
        except TimeoutError as error:
            raise StoreUnavailable(self.address.url, f"no answer within {self._timeout:g} s") from error
        except (RedisError, OSError) as error:
            if isinstance(error, ReadOnlyError):  # fresh connections may lead to the new primary
                await self.client.connection_pool.disconnect()
            raise StoreUnavailable(self.address.url, describe(error)) from error

    async def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            await self.client.aclose()


def refusal(error: StoreUnavailable) -> ConfigurationError | None:
    """What to say instead where it cannot work as it is configured; None where it may work later."""
    cause = error.__cause__
    if isinstance(cause, ResponseError) and str(cause).startswith(("MOVED", "ASK")):
        advice = "A Redis Cluster cannot be the store: name a single server"
    elif isinstance(cause, (AuthenticationError, AuthorizationError)) or str(cause).startswith(_REFUSED):
        advice = "Check the user and the password in the URL, and what that user may do"
    else:
        return None
    return ConfigurationError(f"Redis at {error.url} refuses: {cause}. {advice}.")
