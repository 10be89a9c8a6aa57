"""A RabbitMQ that answers somewhere: its addresses, and its management API for what AMQP cannot ask."""

from __future__ import annotations

import base64
import json
import uuid
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPSConnection
from typing import Any
from urllib.parse import quote, unquote, urlsplit


@dataclass(frozen=True)
class Broker:
    host: str
    port: int
    http_url: str
    user: str = "guest"
    password: str = "guest"

    @classmethod
    def at(cls, amqp_url: str, management_url: str | None = None) -> Broker:
        """One that somebody else runs; its management API is 10 000 ports higher, as by default."""
        url = urlsplit(amqp_url)
        host, port = url.hostname or "localhost", url.port or 5672
        return cls(
            host=host,
            port=port,
            http_url=management_url or f"http://{host}:{port + 10_000}",
            user=unquote(url.username or "guest"),
            password=unquote(url.password or "guest"),
        )

    def amqp_url(self, vhost: str = "/") -> str:
        credentials = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}"
        return f"amqp://{credentials}@{self.host}:{self.port}/{quote(vhost, safe='')}"

    def create_vhost(self) -> str:
        """The name of a new virtual host: exchanges and queues that nobody else sees."""
        vhost = f"test-{uuid.uuid4().hex[:12]}"
        self.api("PUT", f"vhosts/{vhost}", {})
        self.api("PUT", f"permissions/{vhost}/{quote(self.user, safe='')}", _EVERYTHING)
        return vhost

    def permissions_in(self, vhost: str) -> dict[str, str]:
        """Of the user, in a virtual host that was created here, as the management API tells them."""
        return {"user": self.user, "vhost": vhost, **_EVERYTHING}

    def delete_vhost(self, vhost: str) -> None:
        self.api("DELETE", f"vhosts/{quote(vhost, safe='')}")

    def api(self, method: str, path: str, body: object = None) -> Any:
        """The answer to one call, such as api("GET", "queues/my-vhost"); AssertionError if it is refused."""
        url = urlsplit(self.http_url)
        connect = HTTPSConnection if url.scheme == "https" else HTTPConnection
        connection = connect(url.hostname or "localhost", url.port, timeout=30)
        token = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}
        try:
            connection.request(
                method,
                f"{url.path.rstrip('/')}/api/{path}",
                body=None if body is None else json.dumps(body),
                headers=headers,
            )
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        assert response.status < 300, f"{method} /api/{path}: {response.status} {answer!r:.500}"
        return json.loads(answer) if answer else None


_EVERYTHING = {"configure": ".*", "write": ".*", "read": ".*"}
