"""One connection, kept up: connected with a bound, watched, and connected again with jittered pauses."""

from __future__ import annotations

import asyncio
import contextvars
import random
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, cast

from aiormq.abc import AbstractConnection as DriverConnection

from eventbus.errors import BrokerUnreachable, describe
from eventbus.logs import get_logger
from eventbus.rabbitmq.address import Address
from eventbus.rabbitmq.ask import Lost, Refused, ask, meaning
from eventbus.rabbitmq.blocking import watch_blocking
from eventbus.rabbitmq.channels import ChannelLimit
from eventbus.rabbitmq.dialing import Dialer, HotConnection, close
from eventbus.rabbitmq.options import RabbitMQOptions
from eventbus.rabbitmq.wire import Wire

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger


class LinkState(StrEnum):
    """How one connection is doing; each change is logged once."""

    IDLE = "idle"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    BLOCKED = "blocked"
    """Connected, and the broker takes no messages: an alarm."""
    LOST = "lost"
    UNREACHABLE = "unreachable"
    CLOSED = "closed"


_NOT_YET: Final = "not connected yet"
_UP: Final = (LinkState.CONNECTED, LinkState.BLOCKED)


class Pauses:
    """Seconds to wait before each next attempt: doubled from `first` to `longest`, less some by chance."""

    def __init__(self, first: float, longest: float) -> None:
        self._first = first
        self._longest = longest
        self._next = first

    def reset(self) -> None:
        self._next = self._first

    def next(self) -> float:
        pause, self._next = self._next, min(2 * self._next, self._longest)
        return pause * random.uniform(0.5, 1.0)


class Link:
    """A connection for one purpose. Publishing and consuming have one each: an alarm blocks publishers."""

    def __init__(self, address: Address, options: RabbitMQOptions, purpose: str) -> None:
        self.state = LinkState.IDLE
        self._address = address
        self._options = options
        self._purpose = purpose
        self._dialer = Dialer(address, options, purpose)
        self._problem = _NOT_YET
        self._held: HotConnection | None = None
        self._connection: DriverConnection | None = None
        """What `_held` is to the driver, while it is up."""
        self._changed = asyncio.Event()
        self._dialing = asyncio.Lock()
        self._opening = asyncio.Lock()
        self._limit = ChannelLimit()
        self._supervision: asyncio.Task[None] | None = None

    @property
    def problem(self) -> str | None:
        """Why there is no connection; None while there is one."""
        return None if self.state in _UP else self._problem

    @property
    def blocked(self) -> str | None:
        """Why the broker takes no messages on it, in the broker's words; None while it takes them."""
        return self._problem if self.state is LinkState.BLOCKED else None

    @property
    def url(self) -> str:
        return str(self._address)

    async def open(self) -> None:
        """Connected when it returns. Raises `BrokerUnreachable` within the connect timeout, then gives up.

        Somebody may have begun before; a try of theirs that is under way is waited for first.
        """
        try:
            await self._connect()
        except (Lost, Refused) as error:
            raise BrokerUnreachable(self.url, str(error)) from error
        if self._supervision is None:
            self._supervise_soon()

    def renew(self) -> None:
        """After `close`: it may be connected again, in another event loop, too."""
        if self.state is LinkState.CLOSED:
            self.state, self._problem = LinkState.IDLE, _NOT_YET
            self._changed, self._dialing = asyncio.Event(), asyncio.Lock()
            self._opening, self._limit = asyncio.Lock(), ChannelLimit()

    def begin(self) -> None:
        """See to it that it is connected some time, if nobody has before."""
        if self.state is LinkState.IDLE:
            self.state = LinkState.CONNECTING
            self._supervise_soon()

    async def ready(self, *, within: float) -> DriverConnection:
        """The connection that is up, waited for if need be; raises `Lost` with the last problem."""
        if self._connection is not None and not self._connection.is_closed:
            return self._connection
        self.begin()
        try:
            async with asyncio.timeout(within):
                while self._connection is None or self._connection.is_closed:
                    if self.state is LinkState.CLOSED:
                        raise Lost("closed")
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise Lost(self._problem) from None
        return self._connection

    async def channel(self, *, within: float, confirms: bool = False) -> Wire:
        """A new channel; raises `Lost` when there is none within so many seconds, `Refused` by the broker."""
        await self.ready(within=within)
        try:
            async with asyncio.timeout(within), self._opening:
                return await self._open_channel(within, confirms=confirms)
        except TimeoutError:
            raise Lost(self.problem or f"no answer within {within:g} s") from None

    async def _open_channel(self, within: float, *, confirms: bool) -> Wire:
        """One at a time: so it is known how many there were when the broker refuses another."""
        connection = await self.ready(within=within)
        held, count = self._held, len(connection.channels)
        self._limit.check(count, connection.connection_tune.channel_max)
        try:
            channel = await ask(connection.channel(publisher_confirms=confirms), within=within)
        except Refused as refusal:
            self._limit.learn(count, refusal)
            raise
        if held is None or (stream := held.streams.stream) is None:
            raise Lost("closed")
        return Wire(channel, stream)

    async def close(self) -> None:
        if self.state is LinkState.IDLE:
            self.state = LinkState.CLOSED
        self._change(LinkState.CLOSED)
        if self._supervision is not None:
            self._supervision.cancel()
            await asyncio.wait({self._supervision})
            self._supervision = None
        await self._dispose()

    def _supervise_soon(self) -> None:
        """In a context of nobody: it outlives whoever needed the connection first, and logs for all."""
        name, context = f"rabbitmq {self._purpose}", contextvars.Context()
        self._supervision = asyncio.create_task(self._supervise(), name=name, context=context)

    async def _supervise(self) -> None:
        pauses = Pauses(self._options.first_pause, self._options.longest_pause)
        refusals = Pauses(self._options.longest_pause, self._options.refused_pause)
        while True:
            if self._connection is None:
                refused = await self._try_to_connect()
                if self._connection is None:
                    await asyncio.sleep((refusals if refused else pauses).next())
                continue
            refusals.reset()
            began = asyncio.get_running_loop().time()
            loss = await self._end_of(self._connection)
            self._change(LinkState.LOST, str(loss))
            await self._dispose()
            # A broker that accepts and hangs up at once must not be asked in a hot loop.
            if asyncio.get_running_loop().time() - began > self._options.longest_pause:
                pauses.reset()
            await asyncio.sleep(pauses.next())

    async def _try_to_connect(self) -> bool:
        """Whether the broker has refused us, which goes on until somebody changes something."""
        try:
            await self._connect()
        except Exception as error:  # noqa: BLE001  whatever it is, trying again is all that helps
            known = isinstance(error, (Lost, Refused))
            self._change(LinkState.UNREACHABLE, str(error) if known else describe(error))
            return isinstance(error, Refused)
        return False

    async def _connect(self) -> None:
        """Unless it is connected: whoever asks while another one dials gets the same connection."""
        async with self._dialing:
            if self._connection is None:
                self._take_up(await self._dialer.connect())

    def _take_up(self, connection: HotConnection) -> None:
        if connection.transport is None:
            raise Lost("closed")
        self._held = connection
        self._connection = driver = connection.transport.connection
        watch_blocking(driver, lambda reason: self._block(driver, reason))
        self._change(LinkState.CONNECTED)

    def _block(self, connection: DriverConnection, reason: str | None) -> None:
        if connection is self._connection and self.state in _UP:
            self._change(LinkState.CONNECTED if reason is None else LinkState.BLOCKED, reason or "")

    async def _end_of(self, connection: DriverConnection) -> Exception:
        """Return when it is lost, with the reason."""
        closing = cast("asyncio.Future[object]", cast("Any", connection).closing)
        await asyncio.wait({closing})
        return meaning(None if closing.cancelled() else closing.exception())

    async def _dispose(self) -> None:
        held, self._held, self._connection = self._held, None, None
        if held is not None:
            await close(held)

    def _change(self, state: LinkState, problem: str = "") -> None:
        if (state, problem) != (self.state, self._problem) and self.state is not LinkState.CLOSED:
            log = self._log()
            report = log.info if state in (LinkState.CONNECTED, LinkState.CLOSED) else log.warning
            report(f"broker.{state.value}", **({"problem": problem} if problem else {}))
            self.state, self._problem = state, problem
        self._changed.set()

    def _log(self) -> FilteringBoundLogger:
        """Looked up each time: a program may configure its logging after it has made its bus."""
        return get_logger("eventbus.rabbitmq").bind(broker=self.url, link=self._purpose)
