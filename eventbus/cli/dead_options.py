"""Which dead letters a command means, as options."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import click

from eventbus.cli.moments import Age, ago
from eventbus.cli.options import rate_option
from eventbus.dead_letters import Selection

Answer = TypeVar("Answer")


def selection_options(verb: Callable[..., Answer]) -> Callable[..., Answer]:
    """Add the filters; the verb gets them as `selection`, a `Selection`."""

    @click.option("--id", "ids", metavar="ID", multiple=True, help="Only this event; may be repeated.")
    @click.option("--error", metavar="GLOB", help="Only where the whole error matches: '*timeout*'.")
    @click.option("--type", "event_type", metavar="PATTERN", help="Only these event types: 'order.*'.")
    @click.option("--fingerprint", metavar="HEX", help="Only this group, as dead list --group names it.")
    @click.option("--older-than", metavar="AGE", type=Age(), help="Only what was given up before: 15m, 3d.")
    @click.option("--newer-than", metavar="AGE", type=Age(), help="Only what was given up since then.")
    @functools.wraps(verb)
    def with_selection(
        ids: tuple[str, ...],
        error: str | None,
        event_type: str | None,
        fingerprint: str | None,
        older_than: timedelta | None,
        newer_than: timedelta | None,
        **others: Any,
    ) -> Answer:
        now = datetime.now(UTC)
        selection = Selection(
            ids=frozenset(ids),
            error=error,
            type=event_type,
            fingerprint=fingerprint,
            died_before=_ago(now, older_than),
            died_after=_ago(now, newer_than),
        )
        return verb(selection=selection, **others)

    return with_selection


def acting_options(verb: Callable[..., Answer]) -> Callable[..., Answer]:
    """Add `--limit`, `--rate`, `--dry-run` and `--yes`."""
    for option in (
        click.option("--yes", is_flag=True, help="Do not ask."),
        click.option("--dry-run", is_flag=True, help="Show which it would be; change nothing."),
        rate_option,
        click.option(
            "--limit", metavar="N", type=click.IntRange(min=1), help="At most so many, the oldest first."
        ),
    ):
        verb = option(verb)
    return verb


def audit_option(verb: Callable[..., Answer]) -> Callable[..., Answer]:
    return click.option(
        "--audit-log",
        metavar="FILE",
        envvar="EVENTBUS_AUDIT_LOG",
        default="eventbus-audit.jsonl",
        show_default=True,
        help="Where it is written down who did what, when and why.  [env: EVENTBUS_AUDIT_LOG]",
    )(verb)


def must_be_able_to_ask(*, yes: bool, dry_run: bool) -> None:
    """Raises a usage error where nobody could answer."""
    if not yes and not dry_run and not (sys.stdin and sys.stdin.isatty()):
        raise click.UsageError("there is no terminal to ask on: give --yes, or --dry-run to see which.")


def ask(question: str) -> None:
    """Raises `click.Abort` for a no."""
    click.confirm(question, abort=True, err=True)


def _ago(now: datetime, age: timedelta | None) -> datetime | None:
    return None if age is None else ago(now, age)
