"""What a command prints: tables for people, JSON for programs, and nothing that commands a terminal.

In JSON everything beyond ASCII is escaped; for people whatever does not print is replaced, and no text is
read as markup. Colours follow the terminal and NO_COLOR.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

import click

from eventbus.errors import shorten

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text
    from rich.tree import Tree

UNKNOWN: Final = "\N{EN DASH}"
"""Shown where a transport cannot know."""

_UNBOUNDED: Final = 10_000
"""Columns where stdout is no terminal: what a program reads is not to be folded."""


def print_json(value: object) -> None:
    """One JSON document on one line of stdout."""
    click.echo(json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":")))


def print_line(line: str) -> None:
    """One line of data on stdout."""
    click.echo(inert(line))


def note(message: str) -> None:
    """Progress, on stderr."""
    click.echo(inert(message), err=True)


def show(drawn: Table | Tree) -> None:
    """On stdout; what is wider than the terminal is folded within its cell or branch."""
    console().print(drawn)
    sys.stdout.flush()


def show_line(line: Text) -> None:
    """One coloured line of data on stdout, left to the terminal to fold."""
    console().print(line, soft_wrap=True)
    sys.stdout.flush()


def console() -> Console:
    """A console on the present stdout."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else _UNBOUNDED
    return Console(file=sys.stdout, width=width, markup=False, highlight=False, emoji=False)


def table(
    columns: Sequence[str], rows: Iterable[Sequence[str | Text]], *, numbers: Iterable[str] = ()
) -> Table:
    """`numbers`: the columns that are aligned to the right."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    right = frozenset(numbers)
    for column in columns:
        drawn.add_column(column, justify="right" if column in right else "left")
    for row in rows:
        drawn.add_row(*(cell if isinstance(cell, Text) else Text(inert(cell)) for cell in row))
    return drawn


def inert(text: str, limit: int = _UNBOUNDED) -> str:
    """One line without control characters, `limit` characters at most."""
    return shorten(text, limit)
