"""The bench's own connection stands where that of RabbitMQ does, and has to keep up with it."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from bench import steps


async def test_what_python_does_for_an_event_can_be_counted():
    told = StringIO()

    await steps.run(1, Console(file=told, width=120))

    assert "One publish" in told.getvalue()
    assert "One delivery" in told.getvalue()
    assert told.getvalue().count("together") == 2
