"""The figures as a picture: bars in SVG, made by hand, readable on a light and on a dark page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from bench.peers.bars import rate
from bench.peers.rounds import Outcome

WIDTH = 820
LABELS = 270
"""Where the bars begin."""
BARS_END = 720
ROW = 22
GAP = 18
HEADING = 30


def svg(outcomes: Sequence[Outcome], caption: str) -> str:
    """A panel for each case that is about speed; `caption` says how to repeat it, a line each."""
    shown = [outcome for outcome in outcomes if not outcome.case.rate and _rates(outcome)]
    parts: list[str] = []
    top = 10
    for outcome in shown:
        panel, top = _panel(outcome, top)
        parts += panel
    for line in caption.splitlines():
        top += 16
        parts.append(f'<text x="10" y="{top}" class="caption">{escape(line)}</text>')
    height = top + 14
    return "\n".join(
        [
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
                f'width="{WIDTH}" height="{height}" role="img">'
            ),
            f"<title>{escape(', '.join(outcome.case.title for outcome in shown))}: events per second</title>",
            f"<style>{_STYLE}</style>",
            f'<rect width="{WIDTH}" height="{height}" class="page"/>',
            *parts,
            "</svg>\n",
        ]
    )


def _panel(outcome: Outcome, top: int) -> tuple[list[str], int]:
    """Its elements, and where the next may begin."""
    rates = _rates(outcome)
    most = max(rates.values())
    parts = [f'<text x="10" y="{top + 18}" class="title">{escape(outcome.case.title)}, events/s</text>']
    at = top + HEADING
    for name, value in sorted(rates.items(), key=lambda item: -item[1]):
        length = max(1.0, value / most * (BARS_END - LABELS))
        kind = "ours" if name.startswith("eventbus") else "theirs"
        middle = at + ROW - 8
        parts += [
            f'<text x="{LABELS - 8}" y="{middle}" class="name">{escape(name)}</text>',
            f'<rect x="{LABELS}" y="{at + 2}" width="{length:.1f}" height="{ROW - 6}" class="{kind}"/>',
            f'<text x="{LABELS + length + 6:.1f}" y="{middle}" class="value">{value:,.0f}</text>',
        ]
        at += ROW
    return parts, at + GAP


def _rates(outcome: Outcome) -> dict[str, float]:
    return {side.name: side.median(rate) for side in outcome.sides.values() if side.results}


_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#222}.title{font-weight:600;font-size:15px}"
    ".name{text-anchor:end}.caption{font-size:12px;fill:#666}"
    ".page{fill:#fff}.ours{fill:#d9480f}.theirs{fill:#8fa3b8}"
)
