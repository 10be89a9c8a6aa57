"""Streams of events: an append is a few rows in one transaction, which SQLite gives to one writer at a time.

So the positions of committed events grow in the order of the commits, and nothing can come late.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from eventbus.clock import Clock
from eventbus.databases.sqlite.access import Access
from eventbus.event_store import (
    Appended,
    Appending,
    AppendOutcome,
    Conflict,
    JoinedStreams,
    StoredEvent,
    StoredSnapshot,
)
from eventbus.record import microseconds
from eventbus.stores.entries import rows
from eventbus.stores.options import StoreOptions
from eventbus.stores.sqlite.following import Follower, follower
from eventbus.stores.sqlite.joining import Joining, Joint, Native, check_place, joining_for
from eventbus.stores.sqlite.statements import statements
from eventbus.stores.sqlite.watch import Watch

Answer = TypeVar("Answer")


class SqliteStreams:
    def __init__(self, access: Access, options: StoreOptions, clock: Clock, watch: Watch) -> None:
        self._access = access
        self._clock = clock
        self._watch = watch
        self._interval = options.poll_interval
        self._bus = options.bus

    async def append(self, appending: Appending) -> AppendOutcome:
        work = _append(appending, self._now(), self._bus)
        outcome = await self._write(work, durable=True)
        self._watch.tell()
        return outcome

    async def version(self, stream: str) -> int:
        return await self._read(lambda joint: _version(joint, stream))

    async def read(self, stream: str, *, after: int, limit: int) -> Sequence[StoredEvent]:
        return await self._read(lambda joint: _events(joint, stream, after, limit))

    async def read_all(self, *, after: int, limit: int) -> Sequence[StoredEvent]:
        return await self._read(lambda joint: _events_of_all(joint, after, limit))

    async def snapshot(self, stream: str, kind: str) -> StoredSnapshot | None:
        return await self._read(lambda joint: _snapshot(joint, stream, kind))

    async def keep_snapshot(self, stream: str, kind: str, snapshot: StoredSnapshot) -> None:
        # One that a power failure takes is taken again.
        await self._write(_keep_snapshot(stream, kind, snapshot, self._now()), durable=False)

    async def position(self, projection: str) -> int:
        return await self._read(lambda joint: _position(joint, projection))

    def follow(self) -> Follower:
        return follower(self._access.address, self._watch, self._interval)

    def join(self, transaction: object) -> JoinedStreams:
        return _Joined(joining_for(transaction, self._access.address), self._access, self._clock, self._bus)

    async def _read(self, query: Callable[[Joint], Answer]) -> Answer:
        return await self._access.read(lambda connection: query(Native(connection)))

    async def _write(self, work: Callable[[Joint], Answer], *, durable: bool) -> Answer:
        return await self._access.write(lambda connection: work(Native(connection)), durable=durable)

    def _now(self) -> int:
        return microseconds(self._clock.now())


class _Joined:
    def __init__(self, joining: Joining, access: Access, clock: Clock, bus: str) -> None:
        self._joining = joining
        self._access = access
        self._clock = clock
        self._bus = bus

    async def version(self, stream: str) -> int:
        return await self._run(lambda joint: _version(joint, stream))

    async def read(self, stream: str, *, after: int, limit: int) -> Sequence[StoredEvent]:
        return await self._run(lambda joint: _events(joint, stream, after, limit))

    async def snapshot(self, stream: str, kind: str) -> StoredSnapshot | None:
        return await self._run(lambda joint: _snapshot(joint, stream, kind))

    async def append(self, appending: Appending) -> AppendOutcome:
        return await self._run(_append(appending, microseconds(self._clock.now()), self._bus))

    async def keep_snapshot(self, stream: str, kind: str, snapshot: StoredSnapshot) -> None:
        await self._run(_keep_snapshot(stream, kind, snapshot, microseconds(self._clock.now())))

    async def advance(self, projection: str, *, expected: int, to: int) -> bool:
        row = {"projection": projection, "expected": expected, "position": to}

        def advance(joint: Joint) -> bool:
            joint.run(statements()["projection_enter"], [row])
            return joint.run(statements()["projection_advance"], [row]) == 1

        return await self._run(advance)

    async def _run(self, work: Callable[[Joint], Answer]) -> Answer:
        def checked(joint: Joint) -> Answer:
            check_place(joint, self._access.address)
            return work(joint)

        return await self._joining.run(checked)


def _append(appending: Appending, now: int, bus: str) -> Callable[[Joint], AppendOutcome]:
    """Raises `InvalidEvent` for a header value that cannot travel."""
    put = rows(appending.messages, appending.keys, now, bus)

    def append(joint: Joint) -> AppendOutcome:
        sql = statements()
        if not _grow(joint, appending):
            return Conflict(_version(joint, appending.stream))
        version = _version(joint, appending.stream)
        joint.run(sql["event_append"], _event_rows(appending, version, now))
        joint.run(sql["put"], put)
        return Appended(version)

    return append


def _grow(joint: Joint, appending: Appending) -> bool:
    """Written first, for whoever reads first may find that he cannot become the writer any more."""
    sql = statements()
    row = {"stream": appending.stream, "count": len(appending.messages), "expected": appending.expected}
    if appending.expected is None and joint.run(sql["stream_grow_anyhow"], [row]) == 1:
        return True
    if not appending.expected:
        return joint.run(sql["stream_begin"], [row]) == 1
    return joint.run(sql["stream_grow"], [row]) == 1


def _version(joint: Joint, stream: str) -> int:
    found = joint.one(statements()["stream_version"], {"stream": stream})
    return 0 if found is None else found[0]


def _events(joint: Joint, stream: str, after: int, limit: int) -> list[StoredEvent]:
    parameters = {"stream": stream, "after": after, "limit": limit}
    return [StoredEvent(*row) for row in joint.all(statements()["events_of"], parameters)]


def _events_of_all(joint: Joint, after: int, limit: int) -> list[StoredEvent]:
    parameters = {"after": after, "limit": limit}
    return [StoredEvent(*row) for row in joint.all(statements()["events_of_all"], parameters)]


def _snapshot(joint: Joint, stream: str, kind: str) -> StoredSnapshot | None:
    found = joint.one(statements()["snapshot"], {"stream": stream, "kind": kind})
    return None if found is None else StoredSnapshot(*found)


def _position(joint: Joint, projection: str) -> int:
    found = joint.one(statements()["projection_position"], {"projection": projection})
    return 0 if found is None else found[0]


def _event_rows(appending: Appending, newest: int, now: int) -> list[dict[str, Any]]:
    first = newest - len(appending.messages) + 1
    return [
        {
            "stream": appending.stream,
            "version": number,
            "event_type": message.routing_key,
            "event_version": version,
            "body": message.body,
            "now": now,
        }
        for number, (message, version) in enumerate(
            zip(appending.messages, appending.versions, strict=True), first
        )
    ]


def _keep_snapshot(stream: str, kind: str, snapshot: StoredSnapshot, now: int) -> Callable[[Joint], int]:
    row = {
        "stream": stream,
        "kind": kind,
        "version": snapshot.version,
        "state": snapshot.state,
        "now": now,
    }
    return lambda joint: joint.run(statements()["keep_snapshot"], [row])
