"""What of ours survives a crash, as the settings say: the store, the outbox's relay, the spool."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Literal

from eventbus.archive import Archive
from eventbus.claims import Claims
from eventbus.clock import Clock
from eventbus.databases.sqlite.address import settled
from eventbus.errors import ConfigurationError, EventBusError
from eventbus.logbook import Logbook
from eventbus.options import PublishOptions
from eventbus.outbox import Relay
from eventbus.outgoing import Outgoing
from eventbus.pipelines import ServiceStore
from eventbus.sending import OnUnavailable, OrCalling, Sending, State
from eventbus.settings import Settings
from eventbus.spool import Spool, SpoolLimits
from eventbus.store import Outbox, Store
from eventbus.stores.options import StoreOptions
from eventbus.transport import Transport
from eventbus.whose import bus_of, spool_path, store_url


def store_options(settings: Settings) -> StoreOptions:
    days = settings.outbox_keep_days
    return StoreOptions(keep_sent=timedelta(days=days) if days else None)


def relay_of(store: Store, transport: Transport) -> Relay:
    """Not started. The store is open; raises `ConfigurationError` for one that has no outbox."""
    return Relay(outbox_of(store), transport, where=store.url)


def outbox_of(store: Store) -> Outbox:
    if (outbox := store.outbox) is None:
        raise ConfigurationError(
            f"the store at {store.url} is an inbox only, it has no outbox: use sqlite:///eventbus.db."
        )
    return outbox


def logbook_of(store: Store) -> Logbook:
    """Raises `ConfigurationError` for a store that has none."""
    if (logbook := store.logbook) is None:
        raise ConfigurationError(
            f"the store at {store.url} is an inbox only, and cannot keep how far a replay is: "
            "use sqlite:///eventbus.db or postgresql://…"
        )
    return logbook


class Spooling(Sending):
    """`on_unavailable="spool"`: the spool in its file, and the relay that drains it.

    Opened before the transport, for events are taken while the broker has not been reached yet.
    """

    def __init__(self, settings: Settings, transport: Transport, clock: Clock) -> None:
        self._settings = settings
        from eventbus.stores.spooling import spool_url

        self._path = spool_path(settings)
        self._bus = bus_of(settings, kept_in=spool_url(self._path))
        self._transport = transport
        self._clock = clock
        self._store: Store | None = None
        self._spool: Spool | None = None
        self._relay: Relay | None = None

    async def open(self) -> None:
        """Changes nothing when it is open.

        Raises `ConfigurationError` where its file cannot be, `StoreUnavailable` where that is locked.
        """
        if self._store is not None:
            return
        from eventbus.stores.spooling import opened_spool

        self._store = store = await opened_spool(self._path, self._clock, self._bus)
        where = store.url
        try:
            outbox = outbox_of(store)
            limits = SpoolLimits(self._settings.spool_bytes, timedelta(days=self._settings.spool_days))
            spool = Spool(
                outbox, self._transport, where=where, after=self._settings.spool_after, limits=limits
            )
            await spool.open()
        except BaseException:
            await self.close()
            raise
        self._spool = spool
        self._relay = Relay(outbox, self._transport, where=where)

    async def send_on(self) -> None:
        """The broker was reached: what waits here begins to leave."""
        if self._relay is not None:
            await self._relay.start()

    async def close(self) -> None:
        """What waits stays, for the next process that opens it."""
        if self._relay is not None:
            await self._relay.stop()
        if self._spool is not None:
            await self._spool.close()
        if self._store is not None:
            await self._store.close()
        self._relay = self._spool = self._store = None

    async def send(self, outgoing: Sequence[Outgoing], *, timeout: float) -> Sequence[State]:
        if self._spool is None:
            raise EventBusError(f"the spool {self._path} is not open")
        return await self._spool.send(outgoing, timeout=timeout)


def make_store(settings: Settings, *, of: str | None = None, clock: Clock | None = None) -> Store:
    """Not open, and with a writer of its own: for a process that has no embedded transport open.

    `of`: whose outbox, where it is not that of the bus.
    """
    from eventbus.stores.opening import store_for

    options = replace(store_options(settings), bus=of or bus_of(settings))
    return store_for(store_url(settings), options, clock=clock)


def make_archive(settings: Settings) -> Archive:
    """Not open. Raises `ConfigurationError` where the settings name none, or one that cannot be."""
    from eventbus.archives.opening import archive_for

    if settings.archive is None:
        raise ConfigurationError(
            "no archive is named: set EVENTBUS_ARCHIVE (or --archive) to sqlite:///archive.db or postgresql://…"
        )
    return archive_for(settings.archive)


class Kept:
    """What of one bus survives a crash: its store with the relay, and where events go without a broker."""

    def __init__(
        self,
        settings: Settings,
        transport: Transport,
        clock: Clock,
        on_unavailable: Literal["raise", "spool"] | OnUnavailable,
    ) -> None:
        self._settings = settings
        # Both are opened when somebody asks for them, whatever the working directory is by then.
        self._usual_url = settled(store_url(settings))
        self.bus = bus_of(settings)
        """Whose what is kept in its store is."""
        self._archive_url = None if settings.archive is None else settled(settings.archive)
        self._transport = transport
        self._clock = clock
        self._spooling: Spooling | None = None
        self._relay: Relay | None = None
        self._opened: Store | None = None
        self._shared: ServiceStore | None = None
        self._archive: Archive | None = None
        self._turn = asyncio.Lock()
        self._is_open = False
        self._is_sending_on = False
        self.sending: Sending | None = None
        """None: an error, where the broker is away."""
        self.store = make_store(settings, clock=clock) if settings.store is not None else None
        """The one that was asked for. Without one, services have the usual one."""
        _check(on_unavailable)
        if callable(on_unavailable):
            self.sending = OrCalling(transport, on_unavailable, patience=settings.spool_after)
        elif on_unavailable == "spool":
            self.sending = self._spooling = Spooling(settings, transport, clock)

    async def open(self) -> None:
        """Raises `StoreUnavailable`, or `ConfigurationError` where a file or database cannot work.

        May be tried again after that, and changes nothing when it is open.
        """
        try:
            if self._spooling is not None:
                await self._spooling.open()
            if self.store is not None and self._opened is None:
                await self._open(self.store)
        except BaseException:
            await self.close()
            raise
        self._is_open = True

    async def send_on(self) -> None:
        """The broker was reached, and all is declared: what waits here begins to leave.

        Not before: in an alarm, a connection that has published carries out no declaration either.
        """
        self._is_sending_on = True
        if self._spooling is not None:
            await self._spooling.send_on()
        if self._relay is not None:
            await self._relay.start()

    def takes(self, options: PublishOptions) -> bool:
        """Whether an event that is published so needs no broker that was reached: it is kept here."""
        return self._is_open and (self.sending is not None or options.get("transaction") is not None)

    async def opened_store(self) -> Store:
        """The bus's store, opened for the first who asks; raises as `open` does.

        The transport is open: its own file is the usual store, and it writes there for both.
        """
        if self._is_open and self._opened is not None:
            return self._opened
        async with self._turn:
            if not self._is_open:
                raise EventBusError("the bus is not open: use it inside `async with Bus(…) as bus:`")
            return self._opened or await self._open(self._usual_store())

    async def service_store(self) -> ServiceStore:
        """Where services remember what they have handled; raises as `opened_store` does."""
        store = await self.opened_store()
        async with self._turn:
            if self._shared is None:
                claims = Claims(store.inbox, keep=timedelta(days=self._settings.inbox_days))
                claims.start()
                self._shared = ServiceStore(store, claims)
            return self._shared

    async def archive(self) -> Archive | None:
        """The one that the settings name, opened; raises as `open` does. None where they name none."""
        if self._archive_url is None:
            return None
        from eventbus.archives.opening import archive_for

        async with self._turn:
            if self._archive is None:
                archive = archive_for(self._archive_url)
                await archive.open()
                self._archive = archive
            return self._archive

    async def drain(self) -> int:
        """Send on what waits in the outbox; how much that was. For tests, whose clock stands still."""
        if self._relay is None:
            return 0
        before = self._relay.sent
        await self._relay.drain()
        return self._relay.sent - before

    async def close(self) -> None:
        """What waits stays, for the next process that opens it."""
        self._is_open = self._is_sending_on = False
        spooling = [] if self._spooling is None else [self._spooling.close()]
        # Each relay waits for its last send: side by side, or both would take twice as long as one may.
        ended = await asyncio.gather(self._close_store(), *spooling, return_exceptions=True)
        for error in filter(None, ended):
            raise error

    async def _close_store(self) -> None:
        stopping = [] if self._relay is None else [self._relay.stop()]
        if self._shared is not None:
            stopping.append(self._shared.claims.stop())
        await asyncio.gather(*stopping)
        self._relay = self._shared = None
        if self._archive is not None:
            await self._archive.close()
            self._archive = None
        if self._opened is not None:
            await self._opened.close()
            self._opened = None

    async def _open(self, store: Store) -> Store:
        await store.open()
        self._opened = store
        if self._settings.relay == "on" and store.outbox is not None:
            self._relay = relay_of(store, self._transport)
            if self._is_sending_on:
                await self._relay.start()
        return store

    def _usual_store(self) -> Store:
        """In the embedded transport's file, where there is one, that writes for both."""
        from eventbus.embedded import EmbeddedTransport
        from eventbus.stores.opening import store_for

        writing = self._transport if isinstance(self._transport, EmbeddedTransport) else None
        options = replace(store_options(self._settings), bus=self.bus)
        return store_for(self._usual_url, options, writing=writing, clock=self._clock)


def _check(on_unavailable: object) -> None:
    if not callable(on_unavailable) and on_unavailable not in ("raise", "spool"):
        raise ConfigurationError(
            f'on_unavailable={on_unavailable!r}: use "raise", "spool", or a function of the envelope.'
        )
