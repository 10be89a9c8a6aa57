"""`eventbus replay` as an operator has it."""

from __future__ import annotations

import json
import signal

import pytest

from tests.integration.cli.conftest import Cli
from tests.support.eventually import eventually_sync

PAYMENT = "payment.handle_payment"
pytestmark = pytest.mark.timeout(400)


def publish(cli: Cli, *numbers: int) -> None:
    lines = "".join(f'{{"order_id": {number}, "total": "3.00"}}\n' for number in numbers)
    done = cli("publish", "order.created", "--lines", "-", stdin=lines)
    assert done.code == 0, done.err


def handled(cli: Cli) -> list[int]:
    file = cli.directory / "handled.txt"
    return sorted(int(line) for line in file.read_text().split()) if file.exists() else []


def replays(cli: Cli) -> list[dict[str, object]]:
    listed: list[dict[str, object]] = json.loads(cli("replay", "list", "--output", "json").out)["replays"]
    return listed


def test_a_gap_is_repaired_and_what_is_asked_for_runs_again(everywhere: Cli):
    publish(everywhere, 1, 2)
    worker = everywhere.start("run", "shop:payment")
    worker.says("worker.ready")
    publish(everywhere, 3)
    eventually_sync(lambda: handled(everywhere) == [3], within=30)

    counted = everywhere("replay", PAYMENT, "--dry-run", "--output", "json")
    assert (counted.code, json.loads(counted.out)["types"]) == (0, {"order.created": 3})
    repaired = everywhere("replay", PAYMENT)
    assert repaired.code == 0, repaired.err
    assert "entries of history to read" in repaired.err
    assert f"done: 3 events to {PAYMENT}" in repaired.out
    eventually_sync(lambda: handled(everywhere) == [1, 2, 3], within=30)
    again = everywhere("replay", PAYMENT, "--reprocess", "--type", "order.*", "--since", "1h")
    assert again.code == 0, again.err
    eventually_sync(lambda: handled(everywhere) == [1, 1, 2, 2, 3, 3], within=30)

    assert [each["state"] for each in replays(everywhere)] == ["done", "done"]


def test_one_that_is_killed_is_interrupted_and_goes_on(everywhere: Cli):
    assert everywhere("topology", "apply", "shop:payment").code == 0
    publish(everywhere, *range(200))
    running = everywhere.start("replay", PAYMENT, "--rate", "5")
    eventually_sync(lambda: any(int(str(each["sent"])) > 2 for each in replays(everywhere)), within=60)
    (listed,) = replays(everywhere)
    assert listed["state"] == "running"
    second = everywhere("replay", PAYMENT)
    assert (second.code, str(listed["id"]) in second.err) == (1, True)
    assert "entries of history" not in second.err

    running.process.send_signal(signal.SIGKILL)
    running.ends()
    eventually_sync(lambda: replays(everywhere)[0]["state"] == "interrupted", within=90, every=1.0)
    resumed = everywhere("replay", "resume", str(listed["id"]), "--rate", "10000", "--output", "json")

    assert resumed.code == 0, resumed.err
    assert json.loads(resumed.out)["sent"] >= 200
    assert replays(everywhere)[0]["state"] == "done"
    worker = everywhere.start("run", "shop:payment")
    worker.says("worker.ready")
    eventually_sync(lambda: len(handled(everywhere)) >= 200, within=90)
    last = everywhere("publish", "order.created", '{"order_id": 200, "total": "3.00"}')
    assert last.code == 0
    eventually_sync(lambda: 200 in handled(everywhere), within=90)
    assert handled(everywhere) == list(range(201))  # each once, though the queue had most of them three times


def test_ctrl_c_leaves_one_that_can_be_cancelled(cli: Cli):
    assert cli("topology", "apply", "shop:payment").code == 0
    publish(cli, *range(100))
    running = cli.start("replay", PAYMENT, "--rate", "1")
    eventually_sync(lambda: len(replays(cli)) == 1, within=30)
    assert running.told(signal.SIGINT).code == 130
    (listed,) = replays(cli)
    assert listed["state"] == "interrupted"

    cancelled = cli("replay", "cancel", str(listed["id"]))

    assert (cancelled.code, replays(cli)[0]["state"]) == (0, "cancelled")
    assert cli("replay", "resume", str(listed["id"])).code == 1


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        ((PAYMENT, "--since", "2999-01-01"), 1, "in the future"),
        ((PAYMENT, "--since", "soon"), 2, "no time"),
        ((PAYMENT, "--rate", "inf"), 2, "events a second"),
        (("resume", "rpl_7", "--rate", "nan"), 2, "events a second"),
        (("payment.nobody",), 1, "payment.nobody"),
        (("resume", "rpl_7"), 1, "no replay rpl_7"),
        ((PAYMENT, "--type", "Order Created"), 2, "no binding pattern"),
    ],
)
def test_what_cannot_be_replayed_is_refused_in_one_line(
    cli: Cli, arguments: tuple[str, ...], code: int, told: str
):
    assert cli("topology", "apply", "shop:payment").code == 0
    refused = cli("replay", *arguments)
    assert refused.code == code, refused.err
    assert told in refused.err
    assert "Traceback" not in refused.err
