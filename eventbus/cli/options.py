"""The options that verbs share, each declared once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import click

from eventbus.pace import SLOWEST, is_rate

Answer = TypeVar("Answer")
Format = Literal["table", "json"]


@dataclass(frozen=True, slots=True)
class Common:
    """What every verb is told. None: what the environment says, or the default."""

    url: str | None
    output: Format
    store: str | None = None


def common_options(verb: Callable[..., Answer]) -> Callable[..., Answer]:
    """Add `--url`, `--store` and `--output`; the verb gets them as its first argument, a `Common`."""

    @click.option(
        "--url",
        metavar="URL",
        help="The broker: amqp://user:password@host/vhost or sqlite:///events.db.  "
        "[env: EVENTBUS_URL; default: sqlite:///eventbus.db]",
    )
    @click.option(
        "--store",
        metavar="URL",
        help="Keeps what was handled, the outbox, streams of events, and how far replays are: "
        "sqlite:///file.db or postgresql://user:password@host/database; redis://host for what was handled "
        "only.  [env: EVENTBUS_STORE; default: the file of a sqlite: broker, or eventbus.db]",
    )
    @click.option(
        "--output",
        type=click.Choice(("table", "json")),
        default="table",
        show_default=True,
        help="For people, or for programs.",
    )
    @functools.wraps(verb)
    def with_common(url: str | None, store: str | None, output: Format, **others: Any) -> Answer:
        return verb(Common(url=url, output=output, store=store), **others)

    return with_common


def archive_option(verb: Callable[..., Answer]) -> Callable[..., Answer]:
    """Add `--archive`; the verb gets it as `archive`: a URL, or None where it is not given."""
    return click.option(
        "--archive",
        metavar="URL",
        help="Where the history is kept for good: sqlite:///archive.db, postgresql://user@host/database.  "
        "[env: EVENTBUS_ARCHIVE]",
    )(verb)


def rate_option(verb: Callable[..., Answer]) -> Callable[..., Answer]:
    """Add `--rate`; the verb gets it as `rate`: events a second, or None where it is not given."""
    return click.option("--rate", metavar="N", type=float, callback=_rate, help="At most so many a second.")(
        verb
    )


def schemas_option(verb: Callable[..., Answer]) -> Callable[..., Answer]:
    """Add `--schemas`; the verb gets it as `schemas`: module names, or None where it is not given."""
    return click.option(
        "--schemas",
        metavar="MODULE[,MODULE…]",
        callback=_names,
        help="Modules with event classes.  "
        "[env: EVENTBUS_SCHEMAS; default: schemas, where it can be imported]",
    )(verb)


def _rate(_context: click.Context, _parameter: click.Parameter, value: float | None) -> float | None:
    if value is not None and not is_rate(value):
        raise click.BadParameter(
            f"{value:g} is none: write events a second, {SLOWEST:.5f} or more; without the option they go as "
            "fast as they can."
        )
    return value


def _names(_context: click.Context, _parameter: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    if value is None:
        return None
    return tuple(name for each in value.split(",") if (name := each.strip()))
