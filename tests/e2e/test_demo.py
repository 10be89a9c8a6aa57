"""The demonstration as a user starts it: it shows the shop, checks it, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from tests.support.eventually import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

ROOT = Path(__file__).parent.parent.parent
PATIENCE = 180.0

pytestmark = pytest.mark.timeout(400)


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Demo:
    process: asyncio.subprocess.Process
    directory: Path

    async def end(self) -> Ended:
        out, err = await asyncio.wait_for(self.process.communicate(), PATIENCE)
        return Ended(self.process.returncode or 0, out.decode(), err.decode())

    async def said(self, text: str) -> str:
        """What it has told on stderr until it told this."""
        assert self.process.stderr is not None
        told = await asyncio.wait_for(self.process.stderr.readuntil(text.encode()), PATIENCE)
        return told.decode()

    def left_behind(self) -> list[str]:
        """The processes and files that are still there."""
        mark = os.fsencode(self.directory)
        found = [path.name for path in self.directory.iterdir()]
        for environment in Path("/proc").glob("[0-9]*/environ"):
            try:
                if mark in environment.read_bytes():
                    found.append((environment.parent / "cmdline").read_text().replace("\0", " "))
            except OSError:  # ended while we looked, or somebody else's
                continue
        return found


@asynccontextmanager
async def demo(directory: Path, *arguments: str) -> AsyncGenerator[Demo]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "services.demo", *arguments),
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(directory), "COLUMNS": "120"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield Demo(process, directory)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()  # until its services, which write to the same, have ended too


async def run(directory: Path, *arguments: str) -> Ended:
    async with demo(directory, *arguments) as started:
        return await started.end()


def on(broker_url: str | None) -> list[str]:
    return [] if broker_url is None else ["--url", broker_url]


async def test_every_order_ends_as_it_should_twice_in_a_row(tmp_path: Path, broker_url: str | None):
    for _ in range(2):
        ended = await run(tmp_path, "--once", "--orders", "20", "--output", "json", *on(broker_url))

        assert ended.code == 0, ended.err
        summary: dict[str, Any] = json.loads(ended.out)
        assert summary["complaints"] == []
        assert summary["ended"] == {"completed": 16, "declined": 2, "out_of_stock": 2}


async def test_a_late_subscriber_comes_to_the_totals_that_the_order_service_has(
    tmp_path: Path, broker_url: str | None
):
    directory = tmp_path / "50% off? #1"  # what has a meaning in a URL has none in a path
    directory.mkdir()
    arguments = ("--once", "--orders", "3", "--late-subscriber", "--output", "json")
    ended = await run(directory, *arguments, *on(broker_url))

    assert ended.code == 0, ended.err
    late: dict[str, Any] = json.loads(ended.out)["late_subscriber"]
    assert late["order_service"] == {"EUR": {"orders": 3, "revenue": "65.97"}}
    assert sum(each["orders"] for each in late["analytics"]) == 3


async def test_the_answer_times_stand_beside_each_other(tmp_path: Path):
    ended = await run(tmp_path, "--once", "--orders", "10")

    assert "1900 ms" in ended.out
    assert "900 ms" in ended.out
    assert "10 orders ended as they should" in ended.out


async def test_it_opens_with_the_broker_that_it_chose(tmp_path: Path):
    async with demo(tmp_path, "--once", "--orders", "1") as started:
        assert "embedded, on one SQLite file" in await started.said("\n")


async def test_it_serves_until_it_is_told_to_stop_and_leaves_nothing_behind(tmp_path: Path):
    async with demo(tmp_path, "--orders", "3", "--port", "0") as started:
        told = await started.said("The mails, databases and logs are in")
        url = next(word for word in told.split() if word.endswith("/orders"))
        assert url in told
        async with httpx2.AsyncClient(trust_env=False) as client:
            assert (await client.post(url, json={"user_id": 1, "total": "1.00"})).status_code == 202

        started.process.send_signal(signal.SIGTERM)
        ended = await started.end()

        assert ended.code == 0
        assert started.left_behind() == []


async def test_interrupted_it_says_so_and_leaves_nothing_behind(tmp_path: Path):
    async with demo(tmp_path, "--once", "--orders", "200") as started:
        await started.said("ready after")
        started.process.send_signal(signal.SIGINT)

        assert (await started.end()).code == 130
        assert started.left_behind() == []


async def test_killed_it_leaves_nothing_behind_either(tmp_path: Path):
    async with demo(tmp_path, "--once", "--orders", "200") as started:
        await started.said("ready after")
        assert len(started.left_behind()) > 6
        started.process.kill()
        await started.process.wait()

        await eventually(lambda: started.left_behind() == [], within=30)


async def test_a_broker_that_is_not_there_is_one_line_and_code_4(tmp_path: Path, unused_tcp_port: int):
    url = f"amqp://guest:secret@127.0.0.1:{unused_tcp_port}/"

    ended = await run(tmp_path, "--once", "--url", url)

    assert ended.code == 4
    assert str(unused_tcp_port) in ended.err
    assert "Traceback" not in ended.err
    assert "secret" not in ended.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("--orders", "0"),
        ("--orders", "many"),
        ("--url", "sqlite://:memory:"),
        ("--url", "redis://x"),
        ("--url", "amqp://guest:secret/ss@h/"),
        ("--nope",),
    ],
)
async def test_what_cannot_be_is_told_in_a_line_with_code_2(tmp_path: Path, arguments: tuple[str, ...]):
    ended = await run(tmp_path, "--once", *arguments)

    assert ended.code == 2
    assert "Traceback" not in ended.err
    assert "secret" not in ended.err


async def test_a_cluster_that_is_not_there_is_told_with_all_its_hosts(tmp_path: Path, unused_tcp_port: int):
    hosts = f"127.0.0.1:{unused_tcp_port},localhost:{unused_tcp_port}"

    ended = await run(tmp_path, "--once", "--url", f"amqp://guest:secret@{hosts}/")

    assert ended.code == 4, ended.err
    assert hosts in ended.err
    assert "Traceback" not in ended.err
    assert "secret" not in ended.err


async def test_the_store_that_the_shell_names_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    real, temporary = tmp_path / "real.db", tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("EVENTBUS_STORE", f"sqlite:///{real}")

    ended = await run(temporary, "--once", "--orders", "1")

    assert ended.code == 0, ended.err
    assert not real.exists()
