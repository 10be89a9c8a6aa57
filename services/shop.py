"""The shop as a table: which processes it consists of, how each is started, and when it is ready.

Only names and numbers: this is what `services.demo` starts on one machine, and what any other way to run the
shop has to start as well. services/README.md explains the environment variables.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import quote

EVENTBUS: Final = str(Path(sys.executable).with_name("eventbus"))
"""The command line that is installed beside this interpreter."""

HOST: Final = "127.0.0.1"

WORKER_READY: Final = "worker.ready"
"""What `eventbus run` logs when all its subscriptions are consuming."""


@dataclass(frozen=True, slots=True)
class Part:
    """One process of the shop."""

    name: str
    command: tuple[str, ...]
    environment: dict[str, str]
    port: int | None = None
    """It is ready when it listens here; where it listens nowhere, when it has logged `WORKER_READY`."""


@dataclass(frozen=True, slots=True)
class Ports:
    order: int
    gateway: int
    mailbox: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Latencies:
    """Seconds that each step takes; as they stand here, everything is as fast as it can be."""

    validate: float = 0.0
    inventory: float = 0.0
    payment: float = 0.0
    database: float = 0.0
    confirmation: float = 0.0
    invoice: float = 0.0
    warehouse: float = 0.0
    analytics: float = 0.0


ORDINARY: Final = Latencies(
    validate=0.1,
    inventory=0.2,
    payment=0.5,
    database=0.1,
    confirmation=0.3,
    invoice=0.4,
    warehouse=0.2,
    analytics=0.1,
)
"""The latencies of an ordinary shop, 1.9 s together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """One shop on one machine: its broker, its directory for everything that it keeps, and its ports."""

    url: str
    directory: Path
    ports: Ports
    latencies: Latencies = field(default_factory=Latencies)
    namespace: str = "events"
    """Its place on that broker."""

    @property
    def orders_url(self) -> str:
        return f"http://{HOST}:{self.ports.order}"

    @property
    def gateway_url(self) -> str:
        return f"http://{HOST}:{self.ports.gateway}"

    @property
    def maildir(self) -> Path:
        return self.directory / "mails"

    @property
    def analytics_database(self) -> Path:
        return self.directory / "analytics.db"

    def outside(self) -> tuple[Part, ...]:
        """What does not belong to the shop, but must be there for it: the gateway and the mail server."""
        return (
            Part(
                "gateway",
                (sys.executable, "-m", "services.payment.gateway_server"),
                {
                    "GATEWAY_HOST": HOST,
                    "GATEWAY_PORT": str(self.ports.gateway),
                    "GATEWAY_DATABASE": str(self.directory / "gateway.db"),
                    "GATEWAY_LATENCY": str(self.latencies.payment),
                },
                port=self.ports.gateway,
            ),
            Part(
                "mailbox",
                (sys.executable, "-m", "services.email.mailbox_server"),
                {
                    "SMTP_HOST": HOST,
                    "SMTP_PORT": str(self.ports.mailbox),
                    "MAILBOX": str(self.maildir),
                    "MAILBOX_LATENCY": str(self.latencies.confirmation),
                },
                port=self.ports.mailbox,
            ),
        )

    def services(self) -> tuple[Part, ...]:
        """The four services."""
        return (self.order(), self.worker("payment"), self.worker("email"), self.worker("warehouse"))

    def order(self) -> Part:
        environment = {
            **self._environment(),
            "ORDER_HOST": HOST,
            "ORDER_PORT": str(self.ports.order),
            "ORDER_LATENCY_VALIDATE": str(self.latencies.validate),
            "ORDER_LATENCY_INVENTORY": str(self.latencies.inventory),
            "ORDER_LATENCY_DATABASE": str(self.latencies.database),
            "ORDER_LATENCY_INVOICE": str(self.latencies.invoice),
            "ORDER_LATENCY_WAREHOUSE": str(self.latencies.warehouse),
            "ORDER_LATENCY_ANALYTICS": str(self.latencies.analytics),
        }
        return Part("order", (sys.executable, "-m", "services.order.main"), environment, self.ports.order)

    def analytics(self) -> Part:
        """Not one of the four: it may join when all of them have run for years."""
        environment = {**self._environment(), "ANALYTICS_DATABASE": str(self.analytics_database)}
        return Part("analytics", (sys.executable, "-m", "services.analytics.main"), environment)

    def worker(self, service: str, number: int = 1) -> Part:
        """A worker of a service; those of one service share its work."""
        name = service if number == 1 else f"{service}-{number}"
        environment = self._environment()
        if not self.url.startswith("sqlite:"):
            inbox = self.directory / f"{service}-inbox.db"
            environment["EVENTBUS_STORE"] = f"sqlite:///{quote(str(inbox))}"
        return Part(name, (EVENTBUS, "run", f"services.{service}.main:service"), environment)

    def _environment(self) -> dict[str, str]:
        """Each service reads its own part of it."""
        return {
            "EVENTBUS_URL": self.url,
            "EVENTBUS_NAMESPACE": self.namespace,
            "EVENTBUS_LOG_LEVEL": "INFO",  # without it, nobody would say WORKER_READY
            "ORDER_DATABASE": str(self.directory / "order.db"),
            "PAYMENT_DATABASE": str(self.directory / "payment.db"),
            "WAREHOUSE_DATABASE": str(self.directory / "warehouse.db"),
            "WAREHOUSE_LATENCY": str(self.latencies.warehouse),
            "GATEWAY_URL": self.gateway_url,
            "SMTP_HOST": HOST,
            "SMTP_PORT": str(self.ports.mailbox),
        }
