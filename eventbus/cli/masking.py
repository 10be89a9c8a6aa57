"""What a command does not show: the event classes of `--schemas` say which fields are secret."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from eventbus.cli.connection import settings_for
from eventbus.cli.options import Common, schemas_option
from eventbus.cli.schemas import learn, load_schemas
from eventbus.cli.targets import use_working_directory
from eventbus.registry import Registry
from eventbus.secret import Secrets

Answer = TypeVar("Answer")


def secrets_option(verb: Callable[..., Answer]) -> Callable[..., Answer]:
    """Add `--schemas`; the verb gets what its classes mark, as `secrets`. To stand below `common_options`."""

    @functools.wraps(verb)
    def with_secrets(common: Common, schemas: tuple[str, ...] | None, **others: Any) -> Answer:
        return verb(common, secrets=secrets_for(common, schemas), **others)

    return schemas_option(with_secrets)


def secrets_for(common: Common, schemas: tuple[str, ...] | None) -> Secrets:
    use_working_directory()
    registry = Registry()
    learn(registry, load_schemas(settings_for(common, schemas).schemas))
    return Secrets(registry)
