"""Finds the services that a command line names as `MODULE:SERVICE`."""

from __future__ import annotations

import difflib
import importlib
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Final, cast

from eventbus.errors import ConfigurationError, EventBusError, describe
from eventbus.service import Service

FORM: Final = "MODULE:SERVICE, such as services.payment.main:service"


def use_working_directory() -> None:
    """Make the modules of the working directory importable, before all others, as `python -m` does."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)


def load_services(targets: Sequence[str]) -> list[Service]:
    """The services of all targets, each once; raises `ConfigurationError` naming what is wrong with one."""
    found: list[Service] = []
    for target in targets:
        found += [service for service in _services(target) if service not in found]
    names = [service.name for service in found]
    for name in names:
        if names.count(name) > 1:
            raise ConfigurationError(
                f"two services are called {name!r}: their queues would be the same. Rename one of them."
            )
    return found


def import_module(name: str, *, wanted_by: str) -> ModuleType:
    """The module; raises `ConfigurationError` where there is none, or where it fails when it is imported."""
    try:
        return importlib.import_module(name)
    except EventBusError:  # says itself what is wrong, and where
        raise
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise ConfigurationError(f"{wanted_by}: {_missing(name, error.name)}") from None
        raise ConfigurationError(_failed(name, wanted_by, error)) from error
    except (Exception, SystemExit) as error:
        raise ConfigurationError(_failed(name, wanted_by, error)) from error


def _services(target: str) -> list[Service]:
    module_name, _, attribute = target.partition(":")
    if not all(part.isidentifier() for part in module_name.split(".")):
        raise ConfigurationError(
            f"{target!r}: {module_name!r} is no module's name{_dotted(module_name)}. Write {FORM}."
        )
    module = import_module(module_name, wanted_by=repr(target))
    if not attribute:
        raise ConfigurationError(f"{target!r} names no service. {_offer(module)}")
    value: object = module
    for part in attribute.split("."):
        if not hasattr(value, part):
            problem = f"{module_name} has no {attribute!r}"
            raise ConfigurationError(f"{target!r}: {problem}. {_offer(module, attribute)}")
        value = getattr(value, part)
    return _as_services(target, value, module)


def _as_services(target: str, value: object, module: ModuleType) -> list[Service]:
    kind = type(value).__name__
    if isinstance(value, Service):
        return [value]
    if isinstance(value, (list, tuple)):
        listed = cast("Sequence[object]", value)
        services = [each for each in listed if isinstance(each, Service)]
        if services and len(services) == len(listed):
            return services
    raise ConfigurationError(
        f"{target!r} is of type {kind}, and no Service or list of Services. {_offer(module)}"
    )


def _missing(name: str, missing: str) -> str:
    if missing == name:
        return f"there is no module {name!r} in the working directory or among the installed packages."
    return f"there is no module {name!r}: {missing!r} cannot be found, or is no package."


def _failed(name: str, wanted_by: str, error: BaseException) -> str:
    """What happened, and the innermost line of code where it did."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    if isinstance(error, SyntaxError):  # not raised in the file that is wrong, and it says itself where
        where = ""
    return f"{wanted_by}: importing {name} failed: {describe(error)}{where}"


def _dotted(name: str) -> str:
    """For somebody who has named a file."""
    dotted = ".".join(part for part in Path(name).with_suffix("").parts if part != ".")
    plausible = all(part.isidentifier() for part in dotted.split("."))
    return f"; did you mean {dotted!r}?" if plausible and dotted != name else ""


def _offer(module: ModuleType, instead_of: str = "") -> str:
    """What could have been meant."""
    names = sorted(name for name, value in vars(module).items() if isinstance(value, Service))
    if near := difflib.get_close_matches(instead_of, names, n=1):
        return f"Did you mean {module.__name__}:{near[0]}?"
    if names:
        return f"Its services: {', '.join(f'{module.__name__}:{name}' for name in names)}."
    return 'It has no Service: add one, such as service = Service("payment", [charge_order]).'
