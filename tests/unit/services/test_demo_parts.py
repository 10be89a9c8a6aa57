"""The parts of the demonstration: what it orders, what it complains about, and how it starts the shop."""

from __future__ import annotations

import asyncio
import mailbox
import sys
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any

import pytest

from eventbus.embedded import path_from_url
from eventbus.settings import Settings
from services.demo.__main__ import absolute
from services.demo.audit import complaints
from services.demo.customers import Placed
from services.demo.launcher import Launcher, PartFailed, environment_of, free_ports
from services.demo.plan import MODES, Planned, plan
from services.shop import Part, Ports, Shop

if TYPE_CHECKING:
    from pathlib import Path


def test_twenty_orders_end_in_every_way_and_are_placed_in_every_mode():
    orders = plan(20)

    assert [each.ending for each in orders].count("completed") == 16
    assert {each.ending for each in orders} == {"completed", "declined", "out_of_stock"}
    assert {each.mode for each in orders} == set(MODES)


@pytest.mark.parametrize("count", [1, 7, 50, 1000])
def test_as_many_are_placed_as_were_asked_for(count: int):
    assert len(plan(count)) == count


def test_the_slower_modes_are_for_orders_that_end_well():
    assert {each.ending for each in plan(50) if each.mode != "events"} == {"completed"}


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///events.db", "{here}/events.db"),
        ("sqlite:///25%25.db", "{here}/25%.db"),
        ("sqlite:////var/lib/25%25.db", "/var/lib/25%.db"),
    ],
)
def test_a_url_means_the_same_in_every_directory(
    url: str, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    here = tmp_path / "50% off? #1"
    here.mkdir()
    monkeypatch.chdir(here)

    found = absolute(url)

    assert found is not None
    assert path_from_url(found) == path.format(here=here)


class Ended:
    """One order that ended, as the shop, the gateway and the mailbox tell it."""

    def __init__(self, maildir: Path) -> None:
        self.maildir = maildir
        self.status = "completed"
        self.charges = ["captured"]
        self.mail("confirmation", "<1@shop.example>")

    def mail(self, kind: str, message_id: str) -> None:
        message = EmailMessage()
        message["Message-ID"] = message_id
        message["X-Shop-Order"] = "1"
        message["X-Shop-Mail"] = kind
        mailbox.Maildir(self.maildir).add(message)

    def complaints(self) -> list[str]:
        charges: list[dict[str, Any]] = [{"reference": "order-1", "status": each} for each in self.charges]
        placed = Placed(Planned(1, "events", "completed"), order_id=1, answered_after=10.0)
        return complaints([placed], [{"order_id": 1, "status": self.status}], charges, self.maildir)


@pytest.fixture
def ended(tmp_path: Path) -> Ended:
    return Ended(tmp_path / "mails")


def test_there_is_nothing_to_complain_about_an_order_that_ended_as_planned(ended: Ended):
    assert ended.complaints() == []


def test_another_ending_is_a_complaint(ended: Ended):
    ended.status = "processing"
    assert ended.complaints() == ["order 1 ended as processing, not completed"]


def test_a_second_charge_is_a_complaint(ended: Ended):
    ended.charges.append("captured")
    assert "was charged ['captured', 'captured']" in ended.complaints()[0]


def test_a_second_mail_is_a_complaint_but_a_copy_of_the_first_is_not(ended: Ended):
    ended.mail("confirmation", "<1@shop.example>")
    assert ended.complaints() == []
    ended.mail("confirmation", "<2@shop.example>")
    assert len(ended.complaints()) == 1


async def test_a_part_that_ends_at_once_is_told_with_its_last_words():
    words = (sys.executable, "-c", "import sys; sys.exit('no broker')")
    async with Launcher.open() as launcher:
        with pytest.raises(PartFailed, match="no broker") as failed:
            await launcher.start([Part("worker", words, {})])

    assert failed.value.exit_code == 1


async def test_a_part_is_ready_when_it_listens():
    (port,) = free_ports(1)
    serve = (sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1")
    async with Launcher.open() as launcher:
        await launcher.start([Part("server", serve, {}, port=port)])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()

    assert reader
    assert not launcher.directory.exists()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_a_part_that_ended_by_itself_is_noticed():
    waits = (sys.executable, "-c", "import time; print('worker.ready', flush=True); time.sleep(60)")
    async with Launcher.open() as launcher:
        (running,) = await launcher.start([Part("worker", waits, {})])
        assert launcher.failed() is None
        running.process.kill()
        await running.process.wait()

        failed = launcher.failed()

    assert failed is not None
    assert failed.name == "worker"


@pytest.fixture
def environment_of_a_real_shop(tmp_path: Path) -> dict[str, str]:
    """As it may be in the shell that the demonstration is started in."""
    names = ("URL", "STORE", "ARCHIVE", "LOG_LEVEL", "NAMESPACE")
    said = {f"EVENTBUS_{name}": "postgresql://real@db/shop" for name in names} | {"EVENTBUS_RELAY": "off"}
    for name in names:
        file = tmp_path / name
        file.write_text("postgresql://real@secret/shop")
        said[f"EVENTBUS_{name}_FILE"] = str(file)
    return said | {"PATH": "/bin"}


@pytest.mark.parametrize("url", ["sqlite:////tmp/demo/events.db", "amqp://localhost/"])
def test_no_part_gets_to_the_store_or_the_broker_of_the_shell(
    url: str, environment_of_a_real_shop: dict[str, str], tmp_path: Path
):
    shop = Shop(url=url, directory=tmp_path, ports=Ports(1, 2, 3), namespace="demo")
    for part in (*shop.outside(), *shop.services(), shop.analytics()):
        environment = environment_of(part, environment_of_a_real_shop)
        assert environment["PATH"] == "/bin"
        assert "real" not in repr(Settings.from_environment(environment))
        assert {name for name in environment if name.startswith("EVENTBUS_")} <= set(part.environment)


@pytest.mark.parametrize("url", ["sqlite:////tmp/demo/events.db", "amqp://localhost/"])
def test_a_worker_remembers_in_the_directory_of_the_demonstration(
    url: str, environment_of_a_real_shop: dict[str, str], tmp_path: Path
):
    worker = Shop(url=url, directory=tmp_path, ports=Ports(1, 2, 3), namespace="demo").worker("payment")
    settings = Settings.from_environment(environment_of(worker, environment_of_a_real_shop))

    assert (settings.url, settings.namespace, settings.log_level) == (url, "demo", "INFO")
    assert settings.store == (None if url.startswith("sqlite") else f"sqlite:///{tmp_path}/payment-inbox.db")
