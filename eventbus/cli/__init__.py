"""The command line: one file a verb group, imported only when that verb is called."""

from __future__ import annotations

from eventbus.cli.app import main

__all__ = ["main"]
