"""The `Store` on Redis 5 or newer: an inbox only.

What is handled is one member of a sorted set, by the time of its claim; what is being handled is in a hash
beside it, with its owner. So an entry that stays costs no key of its own. How many a subscription has is
counted in a third, for members are in the order of their time. Redis keeps what it has answered
for as well as it is told to: without `appendonly yes` a crash forgets the last minutes.
"""

from __future__ import annotations

import asyncio
import json
import threading
import uuid
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, suppress
from datetime import timedelta
from functools import cache
from importlib.resources import files
from typing import Final, cast

from redis import Redis
from redis.exceptions import ReadOnlyError, RedisError

from eventbus.clock import Clock, SystemClock
from eventbus.errors import ConfigurationError
from eventbus.logs import get_logger
from eventbus.record import microseconds
from eventbus.store import (
    Claim,
    InboxAnswer,
    InboxKey,
    Joined,
    StoreUnavailable,
    Transaction,
    WrongTransaction,
)
from eventbus.stores.options import StoreOptions
from eventbus.stores.redis.server import Address, Server, refusal

_DEFAULTS: Final = StoreOptions()
_CLAIMS: Final = {"1": Claim.OURS, "2": Claim.HANDLED, "3": Claim.HELD}
_REMEDY: Final = "Use a store on SQLite or PostgreSQL: sqlite:///eventbus.db or postgresql://…"
_SEPARATOR: Final = "\n"
"""All three are printable."""


class RedisInbox:
    at_once = None

    def __init__(self, server: Server, owner: Owner, clock: Clock) -> None:
        self._server = server
        self._owner = owner
        self._clock = clock
        self._exchange = server.client.register_script(_script("inbox"))
        self._purge = server.client.register_script(_script("purge"))

    async def exchange(
        self,
        *,
        claim: Sequence[InboxKey] = (),
        complete: Sequence[InboxKey] = (),
        release: Sequence[InboxKey] = (),
    ) -> InboxAnswer:
        if not (claim or complete or release):
            return InboxAnswer([])
        owner = self._owner
        members = json.dumps([[_member(key) for key in keys] for keys in (complete, release, claim)])
        arguments: list[str | int] = [
            owner.id,
            owner.lease,
            owner.prefix,
            microseconds(self._clock.now()),
            members,
        ]
        async with self._server.asked():
            answer = await self._exchange(keys=[*owner.shared, owner.key], args=arguments)
        claims, lost = cast("tuple[str, list[str]]", answer)
        lost_keys = (
            frozenset(key for key in complete if _member(key) in lost) if lost else frozenset[InboxKey]()
        )
        return InboxAnswer([_CLAIMS[digit] for digit in claims], lost_keys)

    async def purge(self, *, older: timedelta, limit: int) -> int:
        before = microseconds(self._clock.now() - older)
        async with self._server.asked():
            return cast("int", await self._purge(keys=self._owner.shared, args=[before, limit]))

    async def remembers(self, subscription: str) -> bool:
        *_, known = self._owner.shared
        async with self._server.asked() as client:
            return await client.hexists(known, subscription)


class Owner:
    """This process as one that claims: who it is, and that it lives. Its id is never another's."""

    def __init__(self, server: Server, options: StoreOptions) -> None:
        # The braces put all keys into one slot: a script may touch them together.
        place = f"{{{options.schema}}}:inbox"
        self.id = uuid.uuid4().hex
        self.lease = round(options.lease * 1000)
        """Milliseconds."""
        self.shared = (f"{place}:age", f"{place}:held", f"{place}:known")
        self.prefix = f"{place}:owner:"
        self.key = self.prefix + self.id
        self._beat = options.lease / 3
        bound = min(
            options.timeout, self._beat
        )  # a store that hangs holds up neither the next beat nor a stop
        self._client = Redis.from_url(  # pyright: ignore[reportUnknownMemberType]  their keywords
            server.address.dsn, socket_timeout=bound, socket_connect_timeout=bound
        )
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """In a thread with a connection of its own: a handler may hold up the event loop."""
        self._thread = threading.Thread(target=self._live, name="eventbus-store-heartbeat", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """What it holds is anybody's from now on."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()

    def _live(self) -> None:
        """What fails is tried again with the next beat."""
        with self._client as client:
            while not self._stopped.wait(self._beat):
                try:
                    client.set(self.key, "1", px=self.lease)
                except ReadOnlyError:  # as in `Server.asked`
                    client.connection_pool.disconnect()
                except (RedisError, OSError):
                    continue
            with suppress(RedisError, OSError):
                client.delete(self.key)


class RedisStore:
    def __init__(self, url: str, options: StoreOptions = _DEFAULTS, clock: Clock | None = None) -> None:
        self._address = Address.of(url)
        self._options = options
        self._clock = clock or SystemClock()
        self._server: Server | None = None
        self._owner: Owner | None = None

    @property
    def url(self) -> str:
        return self._address.url

    @property
    def inbox(self) -> RedisInbox:
        if self._server is None or self._owner is None:
            raise StoreUnavailable(self.url, "it is not open")
        return RedisInbox(self._server, self._owner, self._clock)

    @property
    def outbox(self) -> None:
        return None

    @property
    def logbook(self) -> None:
        return None

    @property
    def streams(self) -> None:
        return None

    async def open(self) -> None:
        if self._server is not None:
            return
        server = Server(self._address, self._options.timeout)
        owner = Owner(server, self._options)
        try:
            async with server.asked() as client:
                await client.set(owner.key, "1", px=owner.lease)
                memory = await client.info("memory")  # pyright: ignore[reportUnknownMemberType]  their keywords
        except BaseException as error:
            await server.close()
            if isinstance(error, StoreUnavailable) and (refused := refusal(error)) is not None:
                raise refused from None
            raise
        self._warn_of(str(memory.get("maxmemory_policy", "")))
        owner.start()
        self._server, self._owner = server, owner

    async def close(self) -> None:
        if self._server is None or self._owner is None:
            return
        server, owner = self._server, self._owner
        self._server = self._owner = None
        await asyncio.to_thread(owner.stop)
        await server.close()

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        raise ConfigurationError(f"the store {self.url} is an inbox only: it has no transactions. {_REMEDY}")

    def join(self, transaction: object) -> Joined:  # noqa: ARG002  the port's
        raise WrongTransaction(f"the store {self.url} is an inbox only", _REMEDY)

    def passing(self, raised: Exception) -> None:  # noqa: ARG002  the port's
        return None

    def _warn_of(self, policy: str) -> None:
        if policy.startswith("allkeys"):
            get_logger("eventbus.inbox").warning(
                "store.evicts",
                store=self.url,
                policy=policy,
                advice="with maxmemory-policy noeviction Redis never forgets what was handled",
            )


@cache
def _script(name: str) -> str:
    return files("eventbus.stores.redis").joinpath(f"{name}.lua").read_text(encoding="utf-8")


def _member(key: InboxKey) -> str:
    return _SEPARATOR.join(key)
