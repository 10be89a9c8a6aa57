"""What the environment says, as one frozen object."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from eventbus.errors import ConfigurationError, shorten

PREFIX: Final = "EVENTBUS_"


class Settings(BaseModel):
    """Each is read from `EVENTBUS_<NAME>`, or from the file that `EVENTBUS_<NAME>_FILE` names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = "sqlite:///eventbus.db"
    """The broker: `amqp://user:password@host/vhost`, `sqlite:///events.db` or `sqlite://:memory:`."""
    namespace: str = Field(default="events", pattern=r"\A[a-z][a-z0-9_-]{0,40}\z")
    """Prefix of every exchange and internal queue; several namespaces share a broker without meeting."""
    schemas: tuple[str, ...] = ()
    """Modules with event classes, comma-separated; then publishing a type that is in none is refused."""
    publish_timeout: float = Field(default=10.0, gt=0)
    """Seconds until `publish` raises, whatever the broker does."""
    connect_timeout: float = Field(default=10.0, gt=0)
    """Seconds until a broker counts as unreachable."""
    shutdown_grace: float = Field(default=30.0, ge=0)
    """Seconds that running handlers get after SIGTERM."""
    max_body_bytes: int = Field(default=1024 * 1024, gt=0, le=16 * 1024 * 1024)
    log_max_age_days: float = Field(default=7.0, gt=0)
    """How long the history is kept."""
    log_max_bytes: int = Field(default=5_000_000_000, gt=0)
    """How much of the history is kept."""
    synchronous: Literal["full", "normal"] = "full"
    """Of the embedded transport: `full` survives a power cut, `normal` the death of the process only."""
    management_url: str | None = None
    """RabbitMQ's management API; default: port 15672 of the same host, with the same user."""
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
            name = str(first["loc"][0])
            raise ConfigurationError(
                f"{PREFIX}{name.upper()}={shorten(str(first['input']))!r}: {first['msg']}."
            ) from None


def _read(name: str, environment: Mapping[str, str]) -> str | None:
    variable = PREFIX + name.upper()
    if (path := environment.get(f"{variable}_FILE")) is None:
        return environment.get(variable)
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{variable}_FILE={path!r} cannot be read: {error}.") from None
