"""Live channels as an application in Python has them, by `centrifuge-python`."""

from tests.rig import live_story


class Python(live_story.LiveStory):
    """The SDK for Python."""

    program = "python"
