"""History to one subscription, again: what was not handled is repaired, or all of it handled once more."""

from eventbus.replay.replays import InvalidReplay, NoSuchReplay, ReplayRunning, Replays
from eventbus.replay.run import Means
from eventbus.replay.state import Replay, ReplayRequest

__all__ = ["InvalidReplay", "Means", "NoSuchReplay", "Replay", "ReplayRequest", "ReplayRunning", "Replays"]
