"""`eventbus tail`: events as they pass."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import click

from eventbus.bus import Bus
from eventbus.cli.connection import command_bus, settings_for
from eventbus.cli.exits import ExitCode
from eventbus.cli.masking import secrets_option
from eventbus.cli.options import Common, Format, common_options
from eventbus.cli.output import UNKNOWN, inert, note, print_json, show_line
from eventbus.codec import Codec, Limits
from eventbus.envelope import Envelope
from eventbus.errors import Unreadable, describe
from eventbus.secret import Secrets
from eventbus.topic import check_pattern, matches
from eventbus.transport import Message

EVERYTHING: Final = "#"
_LONGEST_DATA: Final = 160
"""Characters of an event's data that are shown to people."""


@click.command(short_help="Print events as they pass.")
@click.argument("patterns", metavar="[PATTERN…]", nargs=-1)
@click.option("--count", metavar="N", type=click.IntRange(min=1), help="Stop after so many events.")
@common_options
@secrets_option
def tail(common: Common, patterns: tuple[str, ...], count: int | None, secrets: Secrets) -> int:
    """Print events as they pass, from now on, until Ctrl-C; nobody gets one event less for it.

    PATTERN is an event type, or a pattern such as 'order.*' (* is one word, # any number of words); without
    one everything is printed. `listening…` on stderr says that nothing is missed from then on. With
    --output json each line of stdout is one envelope. What is no envelope is told on stderr. Fields that
    the classes of --schemas mark as Secret are masked. The history is declared first, unless
    EVENTBUS_DECLARE=off.

    \b
    Example:
      eventbus tail 'order.*' payment.captured
    """
    wanted = tuple(check_pattern(pattern) for pattern in patterns) or (EVERYTHING,)
    settings = settings_for(common)
    bus = command_bus(settings)
    codec = Codec(Limits(body=settings.max_body_bytes))
    asyncio.run(_follow(bus, _Printing(codec, secrets, common.output), wanted, count))
    return ExitCode.DONE


async def _follow(bus: Bus, printing: _Printing, patterns: Sequence[str], count: int | None) -> None:
    left = count
    async with bus, bus.transport.log("next") as batches:
        note(f"listening… to {', '.join(patterns)} at {bus.transport.url}")
        async for batch in batches:
            for entry in batch:
                if not any(matches(pattern, entry.message.routing_key) for pattern in patterns):
                    continue
                if not printing.shows(entry.message) or left is None:
                    continue
                left -= 1
                if left == 0:
                    return


@dataclass(frozen=True, slots=True)
class _Printing:
    codec: Codec
    secrets: Secrets
    output: Format

    def shows(self, message: Message) -> bool:
        """Whether it is an envelope, and therefore printed."""
        try:
            envelope = self.codec.decode(message)
        except Unreadable as error:
            note(f"unreadable: {message.routing_key} [{error.reason}]: {describe(error)}")
            return False
        if self.output == "json":  # with the members that the envelope does not know
            print_json(json.loads(self.secrets.body(message.routing_key, message.body)))
        else:
            _print_line(envelope, self.secrets.data(envelope.event_type, envelope.data))
        return True


def _print_line(envelope: Envelope[dict[str, Any]], shown: object) -> None:
    from rich.text import Text

    at = envelope.timestamp.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    data = json.dumps(shown, ensure_ascii=False, separators=(",", ":"))
    show_line(
        Text.assemble(
            (at, "dim"),
            "  ",
            (envelope.event_type, "bold cyan"),
            f" {envelope.version}  ",
            (inert(envelope.event_id), "dim"),
            "  ",
            (inert(envelope.source or UNKNOWN), "green"),
            "  ",
            inert(data, _LONGEST_DATA),
        )
    )
