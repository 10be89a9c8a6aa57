"""The bus of a command: settings from the environment, overridden by options."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Final

from eventbus.bus import Bus
from eventbus.cli.options import Common
from eventbus.cli.schemas import learn
from eventbus.settings import Settings

SOURCE: Final = "cli"
"""Who says to have published what a command publishes."""


def settings_for(common: Common, schemas: tuple[str, ...] | None = None) -> Settings:
    return Settings.from_environment(url=common.url, store=common.store, schemas=schemas)


def command_bus(settings: Settings, *, schemas: Sequence[ModuleType] = (), declare: bool = True) -> Bus:
    """The bus of a command that asks something and ends; its stderr has our words only, and no library's."""
    ours = logging.StreamHandler(sys.stderr)
    ours.addFilter(logging.Filter("eventbus"))
    logging.basicConfig(handlers=[ours], level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    # It relays nothing: it may have ended before the first event is confirmed.
    return make_bus(settings.model_copy(update={"store": None}), SOURCE, schemas=schemas, declare=declare)


def storing_bus(settings: Settings) -> Bus:
    """The bus of a command that keeps something in the store; it relays nothing and declares nothing."""
    return make_bus(settings.model_copy(update={"relay": "off"}), SOURCE, declare=False)


def make_bus(
    settings: Settings, source: str, *, schemas: Sequence[ModuleType] = (), declare: bool = True
) -> Bus:
    """Not opened yet. Raises `ConfigurationError` for a URL that cannot work."""
    bus = Bus(source=source, settings=settings, declare=declare)
    learn(bus.registry, schemas)
    return bus
