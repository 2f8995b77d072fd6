"""What the tests in a browser share."""

from tests.rig.browser_case import browser, plant

__all__ = ["browser", "plant"]
