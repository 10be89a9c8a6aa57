"""What is written together with the state that it tells of is sent on to the broker, by a relay."""

from eventbus.outbox.relay import Relay

__all__ = ["Relay"]
