"""A RabbitMQ node of our own, from the installed rabbitmq-server: own home, cookie, ports and epmd.

It runs as any user and beside any other RabbitMQ, on the loopback interface only. All that it is made of lies
in one directory, and it ends with the lifeline of that directory. Ready in 3 to 9 seconds, about 150 MB.
"""

from __future__ import annotations

import logging
import os
import random
import shutil
import signal
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support.broker import Broker
from tests.support.eventually import eventually_sync
from tests.support.lifeline import attach, detach
from tests.support.ports import free_ports
from tests.support.vhosts import Vhosts

# What Debian's wrapper in sbin runs as root or as the user rabbitmq, and refuses to run as anybody else.
SCRIPTS = Path("/usr/lib/rabbitmq/bin")

SETTLING = 2.0

_PROBES: Final = (
    {
        "x-queue-type": "quorum",
        "x-dead-letter-exchange": "probe.dead",
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    },
    {"x-queue-type": "stream"},
)
"""The arguments of queues that a node must be able to declare."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Peer:
    """Who a node is to others."""

    name: str
    cookie: str
    epmd_port: int

    @property
    def node(self) -> str:
        return f"{self.name}@localhost"


class RabbitNode:
    """One that a test may kill, freeze and start again, on the same ports and with the same data."""

    def __init__(self, lifeline: Path, *, config: str = "", peer: Peer | None = None) -> None:
        """`lifeline` is the directory of one; `config` is added to rabbitmq.conf. Nothing runs yet.

        `peer`: who it is in a cluster; its epmd is then somebody else's.
        """
        self._lifeline = lifeline
        self._home = Path(tempfile.mkdtemp(prefix="rabbitmq-", dir=lifeline))
        self._amqp_port, http_port, self._distribution_port, own_epmd_port = free_ports(4)
        self._has_own_epmd = peer is None
        peer = peer or Peer("test", f"{random.getrandbits(128):x}", own_epmd_port)
        self._peer = peer
        self.broker = Broker("127.0.0.1", self._amqp_port, f"http://127.0.0.1:{http_port}")
        self.vhosts = Vhosts(self.broker)
        self._epmd: subprocess.Popen[bytes] | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._write_files(http_port, config)

    def amqp_url(self, vhost: str = "/") -> str:
        return self.broker.amqp_url(vhost)

    def start(self, *, within: float = 60.0) -> None:
        """Returns when AMQP is answered."""
        self.begin_to_start()
        self.wait_until_it_answers(within=within)

    def begin_to_start(self) -> None:
        """The nodes of a cluster wait for each other: begin with all of them, then wait for each."""
        if self._epmd is None and self._has_own_epmd:
            # Its own, and before the server, which would start one that outlives it.
            self._epmd = self._spawn(*epmd_command(self._peer.epmd_port))
        assert self._server is None, "the node runs already"
        self._server = self._spawn(_program("rabbitmq-server"))

    def wait_until_it_answers(self, *, within: float = 60.0) -> None:
        eventually_sync(self._answers, within=within, every=0.1, despite=OSError)

    def kill(self) -> None:
        """kill -9 of the whole node: nothing is flushed, no connection is closed in good order.

        A quorum queue declared less than about a second before does not come back: RabbitMQ 3.10 writes
        its registry of them down with that delay. Give a new queue `SETTLING` seconds before the kill.
        """
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """In good order, as an operator would."""
        self._end(signal.SIGTERM)

    def restart(self) -> None:
        """After a kill or a stop, or in good order when it runs."""
        self.stop()
        self.start()

    def remove(self) -> None:
        """For good, with its data; what a test leaves out, the lifeline does at the end of the run."""
        self.kill()
        if self._epmd is not None:
            detach(self._lifeline, self._epmd.pid)
            self._epmd.kill()
            self._epmd.wait(timeout=30)
        shutil.rmtree(self._home, ignore_errors=True)

    @property
    def is_running(self) -> bool:
        """Paused counts as running."""
        return self._server is not None

    @property
    def is_alive(self) -> bool:
        """Whether its process is there; False where somebody else has ended it."""
        return self._server is not None and self._server.poll() is None

    def pause(self) -> None:
        """A silent peer: connections stay open, and nothing answers from here on.

        On a busy machine its threads run on for a while after the signal: it is waited for them.
        """
        os.killpg(self._running.pid, signal.SIGSTOP)
        eventually_sync(lambda: _is_stopped(self._running.pid), within=30.0)

    def resume(self) -> None:
        os.killpg(self._running.pid, signal.SIGCONT)

    def ctl(self, *arguments: str) -> str:
        """The output of one rabbitmqctl command, such as ctl("set_vm_memory_high_watermark", "0.0001")."""
        command = [_program("rabbitmqctl"), *arguments]
        return subprocess.check_output(command, env=self._environment(), text=True, timeout=60)

    def mend(self) -> None:
        """Start it anew, empty, where it can declare no queue any more; `vhosts` tells what does that to it.

        With its data: what is left of deleted queues kept a node from declaring after a mere restart.
        """
        if not self._declares():
            _log.warning("the node declares no queues, and is started anew\n%s", self._last_words())
            self.kill()
            shutil.rmtree(self._home / "data")
            self.vhosts = Vhosts(self.broker)
            self.start()
            eventually_sync(self._declares, within=30.0, every=0.5)

    def _declares(self) -> bool:
        vhost = self.vhosts.take()
        try:
            for number, arguments in enumerate(_PROBES):
                self.broker.api(
                    "PUT", f"queues/{vhost}/probe{number}", {"durable": True, "arguments": arguments}
                )
        except AssertionError:
            return False
        finally:
            self.vhosts.put(vhost)
        return True

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        assert self._server is not None, "the node does not run"
        return self._server

    def _answers(self) -> bool:
        if self._running.poll() is not None:
            self.kill()  # what it has left; from here on it may be started again
            raise RuntimeError(f"rabbitmq-server has ended\n{self._last_words()}")
        self.broker.api("GET", f"health/checks/port-listener/{self._amqp_port}")
        return True

    def _end(self, how: signal.Signals) -> None:
        if self._server is None:
            return
        detach(self._lifeline, self._server.pid)
        # The group: the beam, and what it started. One that has ended by itself has none.
        with suppress(ProcessLookupError):
            os.killpg(self._server.pid, how)
        try:
            self._server.wait(timeout=30)
        finally:
            self._server = None

    def _spawn(self, *command: str) -> subprocess.Popen[bytes]:
        with (self._home / "output").open("ab") as output:
            process = subprocess.Popen(
                command,
                env=self._environment(),
                cwd=self._home,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        attach(self._lifeline, process.pid)
        return process

    @property
    def logs(self) -> list[Path]:
        """What it has written, over all its starts; gone when the node is removed or the lifeline is cut."""
        return [self._home / "output", *(self._home / "log").glob("*.log")]

    def _last_words(self) -> str:
        return "\n".join(log.read_text(errors="replace")[-2000:] for log in self.logs)

    def _write_files(self, http_port: int, config: str) -> None:
        (self._home / "rabbitmq.conf").write_text(
            f"""
            management.tcp.ip = 127.0.0.1
            management.tcp.port = {http_port}
            # Statistics for tests, which do not like to wait for the usual 5 seconds.
            collect_statistics_interval = 500
            disk_free_limit.absolute = 50MB
            log.file.level = info
            """.replace("            ", "")
            + config
        )
        (self._home / "enabled_plugins").write_text("[rabbitmq_management].\n")
        (self._home / "no-environment").touch()
        cookie = self._home / ".erlang.cookie"
        cookie.write_text(self._peer.cookie)
        cookie.chmod(0o400)

    def _environment(self) -> dict[str, str]:
        home = str(self._home)
        return {
            "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            "HOME": home,
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._peer.epmd_port),
            "RUNNING_UNDER_SYSTEMD": "true",  # the script becomes the server, instead of waiting for it
            "RABBITMQ_CONF_ENV_FILE": f"{home}/no-environment",
            "RABBITMQ_CONFIG_FILE": f"{home}/rabbitmq.conf",
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{home}/enabled_plugins",
            "RABBITMQ_FEATURE_FLAGS_FILE": f"{home}/feature_flags",
            "RABBITMQ_GENERATED_CONFIG_DIR": f"{home}/generated",
            "RABBITMQ_LOG_BASE": f"{home}/log",
            "RABBITMQ_MNESIA_BASE": f"{home}/data",
            "RABBITMQ_NODENAME": self._peer.node,
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self._amqp_port),
            "RABBITMQ_PID_FILE": f"{home}/pid",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "-kernel inet_dist_use_interface {127,0,0,1} -rabbit quorum_tick_interval 2000"
            ),
        }


def epmd_command(port: int) -> tuple[str, ...]:
    return _program("epmd"), "-port", str(port), "-address", "127.0.0.1"


def _program(name: str) -> str:
    script = SCRIPTS / name
    path = str(script) if script.exists() else shutil.which(name)
    assert path, f"{name} is not installed: apt-get install rabbitmq-server, or set EVENTBUS_TEST_AMQP_URL"
    return path


def _is_stopped(pid: int) -> bool:
    """Whether every thread of it stands still; proc(5): the state follows the name, which ends with ")"."""
    tasks = Path(f"/proc/{pid}/task").glob("*/stat")
    return all(stat.read_text().rpartition(")")[2].split()[0] == "T" for stat in tasks)
