"""A subscription that is new handles what was published before it existed, and then goes live."""

from eventbus.catchup.catch_up import CatchUp, CatchUps, check_starts
from eventbus.catchup.progress import KIND, Progress

__all__ = ["KIND", "CatchUp", "CatchUps", "Progress", "check_starts"]
