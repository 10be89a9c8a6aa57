"""What the environment says, as one frozen object."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from eventbus.errors import ConfigurationError, shorten

PREFIX: Final = "EVENTBUS_"


class Settings(BaseModel):
    """Each is read from `EVENTBUS_<NAME>`, or from the file that `EVENTBUS_<NAME>_FILE` names."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    url: str = "sqlite:///eventbus.db"
    """The broker: `amqp://user:password@host/vhost`, `sqlite:///events.db` or `sqlite://:memory:`."""
    namespace: str = Field(default="events", pattern=r"\A[a-z][a-z0-9_-]{0,40}\z")
    """Prefix of every exchange and internal queue; several namespaces share a broker without meeting."""
    declare: bool = True
    """Whether exchanges and queues are made here; `off` where only a deploy step may, `topology apply`."""
    schemas: tuple[str, ...] = ()
    """Modules with event classes, comma-separated; then publishing a type that is in none is refused."""
    publish_timeout: float = Field(default=10.0, gt=0)
    """Seconds until `publish` raises, whatever the broker does."""
    connect_timeout: float = Field(default=10.0, gt=0)
    """Seconds until a broker counts as unreachable."""
    shutdown_grace: float = Field(default=30.0, ge=0)
    """Seconds that running handlers get after SIGTERM."""
    pause_after: int = Field(default=20, ge=0)
    """A subscription pauses when so many different events in a row failed on something away; 0: never."""
    max_body_bytes: int = Field(default=1024 * 1024, gt=0, le=16 * 1024 * 1024)
    log_max_age_days: float = Field(default=7.0, gt=0, le=36_500)
    """How long the history is kept."""
    log_max_bytes: int = Field(default=5_000_000_000, gt=0)
    """How much of the history is kept."""
    synchronous: Literal["full", "normal"] = "full"
    """Of the embedded transport: `full` survives a power cut, `normal` the death of the process only."""
    store: str | None = None
    """Remembers what was handled, and keeps what is published in a transaction: `sqlite:///file.db`,
    `postgresql://user:password@host/database`; only the first, `redis://host/0` or `memory://`. None:
    services remember in the embedded transport's file, else in `eventbus.db` in the working directory, and
    `publish` takes no transaction."""
    archive: str | None = None
    """Where `eventbus archive` keeps the history for good: `sqlite:///archive.db`, or
    `postgresql://user:password@host/database`. Replays and late subscriptions read it before the log."""
    relay: Literal["on", "off"] = "on"
    """Whether a bus sends on what is in its outbox itself; off where `eventbus relay` does that."""
    outbox_keep_days: float = Field(default=0.0, ge=0, le=36_500)
    """How long the outbox keeps what the broker has; 0: it is removed at once."""
    inbox_days: float = Field(default=7.0, gt=0, le=36_500)
    """How long it is remembered what was handled."""
    spool: str = Field(default="eventbus-spool.db", min_length=1)
    """The file that events wait in while the broker is away, with `on_unavailable="spool"`."""
    spool_bytes: int = Field(default=256 * 1024 * 1024, gt=0)
    """How much may wait there; then publishing raises `SpoolFull`."""
    spool_days: float = Field(default=7.0, gt=0, le=36_500)
    """How long an event may wait there until nothing more is taken: `SpoolFull`."""
    spool_after: float = Field(default=1.0, gt=0)
    """Seconds that the broker gets until an event is spooled, or given to the function `on_unavailable`."""
    management_url: str | None = None
    """RabbitMQ's management API; default: port 15672 of the same host, with the same user."""
    consumer_timeout: float = Field(default=1800.0, ge=0)
    """What RabbitMQ's own `consumer_timeout` is set to, in seconds: for so long a delivery may be handled.
    0: it has none."""
    log_format: Literal["console", "json"] = "console"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ, **overrides: object) -> Settings:
        """What is set, and `overrides` where not None; `ConfigurationError` names the bad variable."""
        found = {name: text for name in cls.model_fields if (text := _read(name, environment)) is not None}
        values: dict[str, object] = dict(found)
        if "schemas" in found:
            values["schemas"] = tuple(part.strip() for part in found["schemas"].split(",") if part.strip())
        values |= {name: value for name, value in overrides.items() if value is not None}
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            variable = f"{PREFIX}{str(first['loc'][0]).upper()}"
            file = environment.get(f"{variable}_FILE")
            origin = (
                f"{variable}={shorten(str(first['input']))!r}"
                if file is None
                else f"{variable}_FILE={file!r}"
            )
            raise ConfigurationError(f"{origin}: {first['msg']}.") from None

    def overridden(self, **changes: object) -> Settings:
        """With those of `changes` that are not None; raises `ConfigurationError` naming a bad one."""
        said = {name: value for name, value in changes.items() if value is not None}
        if not said:
            return self
        try:
            return self.model_validate({**dict(self), **said})
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            shown = shorten(repr(first["input"]))
            raise ConfigurationError(f"{first['loc'][0]}={shown}: {first['msg']}.") from None

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Without passwords: settings are printed when something is wrong, and then pasted somewhere."""
        for name, value in super().__repr_args__():
            shown = _without_secrets(value) if name in _URLS and isinstance(value, str) else value
            yield name, shown


_URLS: Final = ("url", "management_url", "store", "archive")


def _without_secrets(url: str) -> str:
    scheme, found, rest = url.partition("://")
    _, credentials, place = rest.rpartition("@")
    return f"{scheme}://{'***@' if credentials else ''}{place.partition('?')[0]}" if found else "***"


def _read(name: str, environment: Mapping[str, str]) -> str | None:
    variable = PREFIX + name.upper()
    if (path := environment.get(f"{variable}_FILE")) is None:
        return environment.get(variable)
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{variable}_FILE={path!r} cannot be read: {error}.") from None
