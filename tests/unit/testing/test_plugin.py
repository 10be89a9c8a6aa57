from __future__ import annotations

import subprocess
import sys
from pathlib import Path

USERS_TEST = """
import pytest
from eventbus import Event, Service, subscribe

class OrderCreated(Event, type="order.created"):
    pass

class OrderPaid(Event, type="order.paid"):
    pass

@subscribe(OrderCreated)
async def charge(event: OrderCreated) -> OrderPaid:
    return OrderPaid()

{fixture}

@pytest.mark.asyncio
async def test_an_order_is_paid(event_bus):
    await event_bus.publish(OrderCreated())
    assert event_bus.published(OrderPaid) == {expected}
"""

SERVICES = """
@pytest.fixture
def event_bus_services():
    return [Service("payment", [charge])]
"""


def run(directory: Path, test: str, *options: str) -> subprocess.CompletedProcess[str]:
    (directory / "test_of_a_user.py").write_text(test)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", *options]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=60, check=False)


def test_the_fixture_runs_the_services_that_a_project_names(tmp_path: Path):
    ran = run(tmp_path, USERS_TEST.format(fixture=SERVICES, expected="[OrderPaid()]"))
    assert "1 passed" in ran.stdout, ran.stdout + ran.stderr


def test_without_services_the_fixture_is_a_bus_all_the_same(tmp_path: Path):
    ran = run(tmp_path, USERS_TEST.format(fixture="", expected="[]"))
    assert "1 passed" in ran.stdout, ran.stdout + ran.stderr
