"""What ran: the versions that every table, file and picture names."""

from __future__ import annotations

import json
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from bench.peers.compiling import compiler_version
from bench.peers.running import PEERS_PYTHON

OURS = ("eventbus", "aio-pika", "aiormq", "pydantic", "uvloop")
PEERS = (
    "faststream", "taskiq", "taskiq-aio-pika", "dramatiq", "pika", "celery", "kombu", "amqp", "aio-pika",
    "orjson", "pydantic", "uvloop",
)  # fmt: skip
_ASK = "import json,sys,importlib.metadata as m;print(json.dumps({n: m.version(n) for n in sys.argv[1:]}))"


def facts(broker: str, c_client: Path | str) -> dict[str, str]:
    """Name → version, of the machine too."""
    found = {
        "RabbitMQ": broker,
        "Python": platform.python_version(),
        "machine": f"{platform.machine()}, {_cores()} cores",
        **{name: version(name) for name in OURS},
        "librabbitmq": _librabbitmq(c_client),
        "C compiler": compiler_version(),
    }
    if PEERS_PYTHON.exists():
        asked = [str(PEERS_PYTHON), "-c", _ASK, *PEERS]
        theirs = json.loads(subprocess.check_output(asked))  # noqa: S603 -- our own environment
        for name, number in theirs.items():
            if found.get(name) != number:
                found[f"{name} of the peers" if name in found else name] = number
    return found


def in_one_line(found: dict[str, str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in found.items())


def _cores() -> int:
    import os

    return len(os.sched_getaffinity(0))


def _librabbitmq(c_client: Path | str) -> str:
    """It says so itself when it is asked for nothing."""
    if isinstance(c_client, str):
        return c_client
    said = subprocess.run([c_client], capture_output=True, text=True, check=False)  # noqa: S603
    return said.stderr.split()[-1] if said.stderr else "?"
