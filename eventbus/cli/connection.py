"""The bus of a command: settings from the environment, overridden by options."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType

from eventbus.bus import Bus
from eventbus.cli.options import Common
from eventbus.cli.schemas import learn
from eventbus.settings import Settings


def settings_for(common: Common, schemas: tuple[str, ...] | None = None) -> Settings:
    return Settings.from_environment(url=common.url, schemas=schemas)


def make_bus(
    settings: Settings, source: str, *, schemas: Sequence[ModuleType] = (), declare: bool = True
) -> Bus:
    """Not opened yet. Raises `ConfigurationError` for a URL that cannot work."""
    bus = Bus(source=source, settings=settings, declare=declare)
    learn(bus.registry, schemas)
    return bus
