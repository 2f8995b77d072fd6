"""Live channels as an application in Node.js has them, by the npm packages `centrifuge` and `ws`."""

from tests.rig import live_story


class JavaScript(live_story.LiveStory):
    """The SDK for JavaScript."""

    program = "javascript"
