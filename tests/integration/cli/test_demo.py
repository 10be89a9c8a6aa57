"""That the demo itself does what it should is tested with the shop; here is how the verb hands over to it."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.integration.cli.conftest import Cli

ECHO = """
import json, os, sys
print(json.dumps({"arguments": sys.argv[1:], "url": os.environ.get("EVENTBUS_URL")}))
sys.exit(7)
"""

SLEEPER = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(9))
print("here", file=sys.stderr, flush=True)
time.sleep(60)
"""


@pytest.fixture
def own_demo(cli: Cli) -> Path:
    """The file of a program that stands in the place of the demo."""
    services = cli.directory / "services"
    services.mkdir()
    (services / "__init__.py").touch()
    return services / "demo.py"


def test_options_and_exit_code_are_passed_on(cli: Cli, own_demo: Path):
    own_demo.write_text(ECHO)

    done = cli(
        "demo", "--orders", "5", "--port", "0", "--once", "--output", "json", "--url", "sqlite:///x.db"
    )

    assert done.code == 7
    assert json.loads(done.out) == {
        "arguments": ["--output", "json", "--orders", "5", "--port", "0", "--once"],
        "url": "sqlite:///x.db",
    }


def test_the_broker_may_be_named_by_the_environment(cli: Cli, own_demo: Path):
    own_demo.write_text(ECHO)

    assert json.loads(cli("demo", EVENTBUS_URL="sqlite:///y.db").out) == {
        "arguments": [],
        "url": "sqlite:///y.db",
    }
    assert json.loads(cli("demo").out)["arguments"] == []


def test_a_signal_is_the_demos(cli: Cli, own_demo: Path):
    own_demo.write_text(SLEEPER)
    demo = cli.start("demo")
    demo.says("here")

    assert demo.told(signal.SIGTERM).code == 9


def test_without_the_repository_one_line_says_so(cli: Cli):
    (cli.directory / "services.py").touch()  # hides the services of the repository, which are importable here

    done = cli("demo", "--once")

    assert done.code == 1
    assert "there is no services.demo here" in done.err
    assert done.err.count("\n") == 1
