"""Finds the modules whose event classes a command works with."""

from __future__ import annotations

import importlib.util
import pkgutil
from collections.abc import Sequence
from types import ModuleType
from typing import Final

from eventbus.cli.exits import complain
from eventbus.cli.targets import import_module
from eventbus.errors import ConfigurationError
from eventbus.registry import Registry

DEFAULT: Final = "schemas"


def load_schemas(names: Sequence[str] | None) -> list[ModuleType]:
    """The named modules with all their submodules, imported.

    Where none are named: `schemas`, if it can be imported; that it is there and cannot be, is said on stderr.
    Raises `ConfigurationError` for a named module that cannot be imported.
    """
    if names:
        return [module for name in names for module in _with_submodules(name)]
    if importlib.util.find_spec(DEFAULT) is None:
        return []
    try:
        return _with_submodules(DEFAULT)
    except ConfigurationError as error:
        complain(f"{error} Going on without its event classes.")
        return []


def learn(registry: Registry, modules: Sequence[ModuleType]) -> None:
    """Add the event classes of these modules; raises `DuplicateEvent` where two claim the same one."""
    for module in modules:
        registry.collect(vars(module))


def _with_submodules(name: str) -> list[ModuleType]:
    module = import_module(name, wanted_by=f"event classes of {name!r}")
    found = [module]
    for each in pkgutil.iter_modules(getattr(module, "__path__", ())):
        if each.name != "__main__":
            found += _with_submodules(f"{name}.{each.name}")
    return found
