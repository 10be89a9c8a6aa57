"""From the JSON that somebody typed to an envelope that may be sent."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any, Final

from eventbus.bus import Bus
from eventbus.envelope import Envelope, envelope_from
from eventbus.errors import InvalidEvent, UnregisteredEvent
from eventbus.event import Event
from eventbus.ids import new_event_id
from eventbus.strict_json import BadJson, JsonLimits, read_object
from eventbus.topic import check_event_type

LIMITS: Final = JsonLimits(nesting=JsonLimits().nesting - 1)
"""As for a whole body, of which the data is one level."""

_NEAR: Final = 0.75


@dataclass(frozen=True, slots=True)
class Draft:
    """What the events of one command have in common. `version`: None lets the data decide."""

    event_type: str
    version: str | None
    key: str | None

    def envelope(self, bus: Bus, data: bytes, event_id: str | None = None) -> Envelope[Any]:
        """The envelope of `data`, checked by the class that describes it, or as it is where none does.

        Raises `BadJson`, or `InvalidEvent` naming the member that does not fit.
        """
        check_event_type(self.event_type)
        try:
            members = read_object(data, LIMITS)
        except BadJson as error:
            raise BadJson(str(error).replace("the body", "the data")) from None
        event = bus.registry.validate(self.event_type, members, self.version)
        version = self._version() if event is None else event.__event_version__
        return self._wrapped(bus, members if event is None else event, version, event_id)

    def check(self, bus: Bus) -> None:
        """Raise `InvalidEvent` for what would be wrong with every event, whatever its data."""
        self._wrapped(bus, {}, self._version(), None)
        try:
            bus.registry.validate(self.event_type, {}, self.version)
        except UnregisteredEvent:
            raise
        except InvalidEvent:
            return  # of the empty data, which nobody publishes

    def doubt(self, bus: Bus, envelope: Envelope[Any]) -> str | None:
        """What somebody may not have meant: a type that no class describes, or an older version of it."""
        newest = bus.registry.newest(self.event_type)
        if newest is None:
            near = difflib.get_close_matches(self.event_type, bus.registry.types(), n=1, cutoff=_NEAR)
            hint = f" (did you mean {near[0]}?)" if near else ""
            return f"no class describes {self.event_type}{hint}: the data is sent as it is"
        if self.version is None and envelope.version != newest.__event_version__:
            return (
                f"the data is that of {self.event_type} {envelope.version} and sent as such; "
                f"the newest version is {newest.__event_version__}"
            )
        return None

    def _version(self) -> str:
        return "1.0" if self.version is None else self.version

    def _wrapped(
        self, bus: Bus, data: Event | dict[str, Any], version: str, event_id: str | None
    ) -> Envelope[Any]:
        return envelope_from(
            {
                "event_id": new_event_id() if event_id is None else event_id,
                "event_type": self.event_type,
                "timestamp": bus.clock.now(),
                "version": version,
                "data": data,
                "key": self.key,
            }
        )
