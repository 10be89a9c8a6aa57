"""The command `eventbus` as a user has it: a process of its own, in a directory of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.broker import Broker
from tests.support.eventually import eventually_sync

COMMAND = Path(sys.executable).with_name("eventbus")

SHOP = """
from pathlib import Path

from eventbus import Event, Service, subscribe


class InvoiceSent(Event, type="invoice.sent"):
    order_id: int


@subscribe("order.created", concurrency=1)
def handle_payment(event):
    with Path("handled.txt").open("a") as file:
        file.write(f"{event['order_id']}\\n")


@subscribe("payment.*")
async def send_invoice(event: dict) -> InvoiceSent | None:
    return None


payment = Service("payment", [handle_payment])
email = Service("email", [send_invoice])
both = [payment, email]
number = 3
"""

SCHEMAS = """
from decimal import Decimal

from eventbus import Event, upcast


class OrderCreatedV1(Event, type="order.created", version="1.0"):
    order_id: int


class OrderCreated(Event, type="order.created", version="2.0"):
    order_id: int
    total: Decimal


@upcast
def one_to_two(old: OrderCreatedV1) -> OrderCreated:
    return OrderCreated(order_id=old.order_id, total=Decimal(0))
"""


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


@dataclass
class Running:
    """A command that goes on until it is told to end."""

    process: subprocess.Popen[bytes]
    out_file: Path
    err_file: Path

    @property
    def out(self) -> str:
        return self.out_file.read_text()

    @property
    def err(self) -> str:
        return self.err_file.read_text()

    def says(self, text: str, *, within: float = 20.0) -> None:
        """Wait until it has said so on stderr."""
        eventually_sync(lambda: text in self.err or self.process.poll() is not None, within=within)
        assert text in self.err, self.err

    def ends(self, *, within: float = 20.0) -> Ended:
        code = self.process.wait(within)
        return Ended(code, self.out, self.err)

    def told(self, number: signal.Signals) -> Ended:
        self.process.send_signal(number)
        return self.ends()


@dataclass
class Cli:
    """`cli("publish", "order.created", "{}")` runs it to its end; `cli.start(…)` leaves it running."""

    directory: Path
    environment: dict[str, str]
    running: list[Running] = field(default_factory=list)

    def __call__(self, *arguments: str, stdin: str = "", **environment: str) -> Ended:
        done = subprocess.run(
            [COMMAND, *arguments],
            check=False,
            capture_output=True,
            text=True,
            input=stdin,
            cwd=self.directory,
            env=self.environment | environment,
            timeout=60,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: str, **environment: str) -> Running:
        number = len(self.running)
        out, err = self.directory / f"{number}.out", self.directory / f"{number}.err"
        with out.open("wb") as out_file, err.open("wb") as err_file:
            process = subprocess.Popen(
                [COMMAND, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out_file,
                stderr=err_file,
                cwd=self.directory,
                env=self.environment | environment,
            )
        self.running.append(Running(process, out, err))
        return self.running[-1]


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    """The command on an own SQLite file, beside a module `shop` with services and a package `schemas`."""
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "__init__.py").touch()
    (tmp_path / "schemas" / "order.py").write_text(SCHEMAS)
    ours = {name: value for name, value in os.environ.items() if not name.startswith("EVENTBUS_")}
    cli = Cli(tmp_path, ours)
    yield cli
    for each in cli.running:
        each.process.kill()
        each.process.wait()


@pytest.fixture(params=["sqlite", "rabbitmq"])
def everywhere(request: pytest.FixtureRequest, cli: Cli) -> Cli:
    """The same on each kind of broker, which the environment names."""
    if request.param == "rabbitmq":
        broker: Broker = request.getfixturevalue("rabbitmq")
        cli.environment["EVENTBUS_URL"] = request.getfixturevalue("amqp_url")
        cli.environment["EVENTBUS_MANAGEMENT_URL"] = broker.http_url
    return cli
