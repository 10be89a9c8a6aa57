import io
import json
from xml.etree import ElementTree as ET

from rich.console import Console

from bench.peers.bars import judge
from bench.peers.cases import Case
from bench.peers.job import Result
from bench.peers.plot import svg
from bench.peers.report import as_json, bar_table, doubts, table
from bench.peers.rounds import Measured, Outcome

SVG = "{http://www.w3.org/2000/svg}"


def speeds() -> Outcome:
    sides = [
        Measured("eventbus", [Result(4000, 4000, 1.0, 0.04), Result(2000, 2000, 1.0, 0.04)]),
        Measured("raw", [Result(1000, 1000, 1.0, 0.1), Result(1000, 1000, 1.0, 0.1)]),
        Measured("C <client>", trouble="not available: there is no C compiler"),
    ]
    return Outcome(Case("publish & confirm", "raw", ()), {side.name: side for side in sides})


def printed(what: object) -> str:
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(what)
    return console.export_text()


def test_a_row_has_the_medians_and_the_spread_of_the_ratios() -> None:
    [row] = [line for line in printed(table(speeds())).splitlines() if "eventbus" in line]
    assert [cell.strip() for cell in row.split("│")[1:-1]] == [
        "eventbus",
        "3,000",
        "15.0",
        "3.00",
        "2.00",
        "4.00",
        "1.0",
    ]


def test_what_is_not_available_is_a_row_with_its_reason() -> None:
    assert "there is no C compiler" in " ".join(printed(table(speeds())).split())


def test_a_rate_that_was_not_kept_is_marked() -> None:
    late = Measured("raw", [Result(500, 500, 2.0, 0.1, {"p50": 1.0, "p99": 2.0, "p99.9": 3.0})])
    outcome = Outcome(Case("latency", "raw", (), rate=500), {"raw": late})
    assert "250 (behind)" in printed(table(outcome))


def test_the_bars_say_what_was_not_measured() -> None:
    assert "not measured" in printed(bar_table(judge([])))


def test_the_json_has_every_round() -> None:
    made = json.loads(json.dumps(as_json([speeds()], judge([]), {"RabbitMQ": "3.10.8"}, "script/bench all")))
    [case] = made["cases"]
    assert [each["count"] for each in case["sides"][0]["rounds"]] == [4000, 2000]
    assert case["sides"][0]["ratio"] == {"median": 3.0, "least": 2.0, "most": 4.0}
    assert case["sides"][2]["trouble"] == "not available: there is no C compiler"
    assert made["versions"] == {"RabbitMQ": "3.10.8"}


def test_the_plot_is_a_picture_whose_bars_are_as_long_as_the_figures() -> None:
    picture = ET.fromstring(svg([speeds()], "script/bench all --svg <file>"))  # noqa: S314 -- our own
    lengths = {bar.get("class"): float(bar.get("width") or 0) for bar in picture.iter(f"{SVG}rect")}
    assert lengths["ours"] / lengths["theirs"] == 3.0
    texts = [text.text for text in picture.iter(f"{SVG}text")]
    assert "publish & confirm, events/s" in texts
    assert "script/bench all --svg <file>" in texts


def test_every_column_of_a_table_has_a_heading() -> None:
    [heading] = [line for line in printed(table(speeds())).splitlines() if "events/s" in line]
    assert all(cell.strip() for cell in heading.split("┃")[1:-1])


def test_verdicts_of_few_short_runs_on_a_busy_machine_decide_nothing() -> None:
    assert len(doubts(rounds=1, seconds=0.5, load_each=4.0)) == 3
    assert doubts(rounds=5, seconds=3.5, load_each=0.4) == []
