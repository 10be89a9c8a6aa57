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
from eventbus.transport import Transport

SOURCE: Final = "cli"
"""Who says to have published what a command publishes."""


def settings_for(common: Common, schemas: tuple[str, ...] | None = None) -> Settings:
    return Settings.from_environment(url=common.url, store=common.store, schemas=schemas)


def command_bus(
    settings: Settings, *, schemas: Sequence[ModuleType] = (), declare: bool = True, create: bool = True
) -> Bus:
    """The bus of a command that asks something and ends; its stderr has our words only, and no library's.

    `create`: see `only_visit`.
    """
    ours = logging.StreamHandler(sys.stderr)
    ours.addFilter(logging.Filter("eventbus"))
    logging.basicConfig(handlers=[ours], level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    # It relays nothing: it may have ended before the first event is confirmed.
    bus = make_bus(settings.model_copy(update={"store": None}), SOURCE, schemas=schemas, declare=declare)
    only_visit(bus.transport, create=create)
    return bus


def looking_bus(settings: Settings) -> Bus:
    """The bus of a command that looks at what is there: it declares nothing."""
    return command_bus(settings, declare=False, create=not _is_named(settings))


def storing_bus(settings: Settings) -> Bus:
    """The bus of a command that keeps something in the store; it relays nothing and declares nothing."""
    bus = make_bus(settings.model_copy(update={"relay": "off"}), SOURCE, declare=False)
    only_visit(bus.transport, create=not _is_named(settings))
    return bus


def only_visit(transport: Transport, *, create: bool = True) -> None:
    """An embedded broker trims its history by the settings of who has it open: its workers', not a command's.

    Without `create` one that nobody has begun is told as a broker that cannot be reached.
    """
    if transport.url.startswith("sqlite:"):
        from eventbus.embedded import EmbeddedTransport

        if isinstance(transport, EmbeddedTransport):
            transport.only_visit(create=create)


def _is_named(settings: Settings) -> bool:
    """Whether somebody said which broker: only then its file is missed, and not made."""
    return "url" in settings.model_fields_set


def make_bus(
    settings: Settings, source: str, *, schemas: Sequence[ModuleType] = (), declare: bool = True
) -> Bus:
    """Not opened yet. Raises `ConfigurationError` for a URL that cannot work."""
    bus = Bus(source=source, settings=settings, declare=declare)
    learn(bus.registry, schemas)
    return bus
