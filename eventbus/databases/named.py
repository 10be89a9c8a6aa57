"""SQL in a file, each statement under its name: `-- name: claim`."""

from __future__ import annotations

import re
from typing import Final

_NAME: Final = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def named(text: str) -> dict[str, str]:
    parts = _NAME.split(text)
    return dict(zip(parts[1::2], map(str.strip, parts[2::2]), strict=True))
