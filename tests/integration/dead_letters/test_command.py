"""`eventbus dead` as an operator has it, on both transports."""

from __future__ import annotations

import asyncio
import json

from tests.conformance import drive
from tests.conformance.drive import CHARGE
from tests.support.eventually import eventually


async def test_five_first_and_then_the_rest(place):
    sent = await place.give_up(60)

    first = await place.run("redrive", CHARGE, "--limit", "5", "--yes")
    assert (first.code, first.err.splitlines()[-1]) == (0, "5 redriven")
    assert await place.dead() == sent[5:]

    rest = await place.run("redrive", CHARGE, "--rate", "500", "--yes")
    assert (rest.code, rest.err.splitlines()[-1]) == (0, "55 redriven")
    assert drive.ids(await drive.contents(place.transport, CHARGE)) == sent


async def test_a_redrive_to_a_queue_that_nobody_consumes_says_so(place):
    await place.give_up(2)

    alone = await place.run("redrive", CHARGE, "--limit", "1", "--yes")
    async with place.transport.consume(CHARGE, prefetch=1):
        attended = await place.run("redrive", CHARGE, "--yes")

    assert alone.err.splitlines() == [
        f"nobody consumes {CHARGE} now: there they wait until a worker has it",
        "1 redriven",
    ]
    assert attended.err.splitlines() == ["1 redriven"]


async def test_a_redrive_that_is_killed_loses_none(place):
    sent = await place.give_up(300)

    async with place.started("redrive", CHARGE, "--rate", "25", "--yes") as process:
        await eventually(lambda: _some_are_ready(place), within=20)
        process.kill()
        await process.wait()

    # What the dead process held comes back when the broker notices.
    left = await eventually(lambda: _all_are_somewhere(place, len(sent)), within=20)
    assert 0 < left < len(sent)
    again = await place.run("redrive", CHARGE, "--yes")
    assert again.code == 0
    redriven = drive.ids(await drive.contents(place.transport, CHARGE))
    assert sorted(set(redriven)) == sent
    assert len(redriven) <= len(sent) + 5  # at worst the batch that was confirmed and not acked


async def test_without_a_terminal_nothing_is_redriven_unasked(place):
    sent = await place.give_up(2)

    ended = await place.run("redrive", CHARGE)

    assert ended.code == 2
    assert "--yes" in ended.err
    assert await place.dead() == sent


async def test_an_id_that_is_not_there_makes_it_done_in_part(place):
    sent = await place.give_up(2)

    ended = await place.run("redrive", CHARGE, "--id", sent[0], "--id", "evt_none", "--yes")

    assert ended.code == 3
    assert "no dead letter evt_none" in ended.err
    assert await place.dead() == sent[1:]


async def test_what_another_consumer_holds_makes_it_done_in_part(place):
    sent = await place.give_up(10)

    async with place.transport.consume(f"{CHARGE}.dead", prefetch=4) as other:
        held = drive.ids(await drive.take(other, 4))
        of_three = await place.run("redrive", CHARGE, "--limit", "3", "--yes")
        of_all = await place.run("redrive", CHARGE, "--yes")
        of_one = await place.run("discard", CHARGE, "--id", held[0], "--reason", "no", "--yes")

    assert of_three.code == 0
    assert "more took from" not in of_three.err
    assert of_all.code == 3
    assert f"1 more took from {CHARGE}.dead" in of_all.err
    assert "3 redriven" in of_all.err
    assert of_one.code == 1
    assert await eventually(lambda: place.has_dead(4), within=30)
    assert await place.dead() == sent[:4]


async def test_an_audit_log_that_takes_no_more_makes_a_discard_done_in_part(place):
    sent = await place.give_up(300)
    audit, nowhere = place.directory / "audit.jsonl", place.directory / "nowhere"
    nowhere.symlink_to(place.directory / "unmounted" / "audit.jsonl")

    arguments = ("--reason", "test cards", "--audit-log", str(audit), "--rate", "25", "--yes")
    async with place.started("discard", CHARGE, *arguments) as process:
        await eventually(lambda: audit.exists() and audit.read_bytes(), within=20)
        nowhere.replace(audit)
        _, err = await asyncio.wait_for(process.communicate(), 60)

    left = await place.dead()
    assert len(left) < len(sent)
    assert (process.returncode, err.decode().splitlines()[-1]) == (3, f"{300 - len(left)} discarded")
    assert f"{left[0]} stays: cannot write the audit log" in err.decode()
    assert left == sent[-len(left) :]


async def test_groups_leave_the_values_out(place):
    await place.give_up(3, "GatewayTimeout: no answer for order 17 within 5.0 s")
    await place.give_up(1, "GatewayTimeout: no answer for order 99 within 5.1 s")
    await place.give_up(1, "CardDeclined: \x1b[31mno such card '4711'")

    ended = await place.run("list", CHARGE, "--group", "--output", "json")

    groups = json.loads(ended.out)["groups"]
    assert [(group["count"], group["error"]) for group in groups] == [
        (4, "GatewayTimeout: no answer for order … within … s"),
        (1, "CardDeclined: �[…mno such card …"),
    ]
    only = await place.run("redrive", CHARGE, "--fingerprint", groups[0]["fingerprint"], "--yes")
    assert only.err.splitlines()[-1] == "4 redriven"
    assert await place.has_dead(1)


async def test_nothing_shown_commands_a_terminal(place):
    (id,) = await place.give_up(1, "Odd: \x1b[31mred\u202e")

    for verb in (("list", CHARGE), ("show", id, CHARGE), ("stats", CHARGE)):
        ended = await place.run(*verb)
        assert ended.code == 0
        assert "\x1b" not in ended.out
        assert "\u202e" not in ended.out


async def test_the_data_is_edited_and_sent_as_a_new_event(place):
    sent = await place.give_up(2)

    ended = await place.run(
        *("redrive", CHARGE, "--edit", "--id", sent[0], "--yes", "--output", "json"),
        EDITOR="sed -i /order_id/s/0/42/",
        VISUAL="",
    )

    assert ended.code == 0, ended.err
    event_id = json.loads(ended.out.splitlines()[-1])["event_id"]
    (delivery,) = await drive.contents(place.transport, CHARGE)
    assert delivery.message.event_id == event_id
    assert json.loads(delivery.message.body)["data"]["order_id"] == 42
    assert await place.dead() == sent[1:]
    assert event_id in (place.directory / "eventbus-audit.jsonl").read_text()


async def test_data_that_its_class_refuses_is_not_sent(place):
    sent = await place.give_up(1)

    ended = await place.run(
        *("redrive", CHARGE, "--edit", "--id", sent[0], "--yes"),
        EDITOR="sed -i s/order_id/order/",
        VISUAL="",
    )

    assert ended.code == 1
    assert "data.order_id" in ended.err
    assert await place.dead() == sent
    assert await place.ready() == 0


async def test_export_is_json_lines_with_the_payload(place):
    sent = await place.give_up(3)

    ended = await place.run("export", CHARGE)

    exported = [json.loads(line) for line in ended.out.splitlines()]
    assert [each["id"] for each in exported] == sent
    assert json.loads(exported[2]["body"])["data"]["order_id"] == 2


async def _some_are_ready(place) -> bool:
    return await place.ready() >= 10


async def _all_are_somewhere(place, count: int) -> int:
    """How many are dead letters still, once they and those redriven are all."""
    dead = len(await place.dead())
    return dead if dead + await place.ready() >= count and not await _is_held(place) else 0


async def _is_held(place) -> bool:
    return (await drive.stats_of(place.transport, CHARGE)).dead_consumers > 0
