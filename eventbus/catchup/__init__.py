"""A subscription that is new handles what was published before it existed, and then goes live."""

from eventbus.catchup.catch_up import CatchUp, CatchUps, check_starts
from eventbus.catchup.progress import KIND, Progress, page_name, pages_of

__all__ = ["KIND", "CatchUp", "CatchUps", "Progress", "check_starts", "page_name", "pages_of"]
