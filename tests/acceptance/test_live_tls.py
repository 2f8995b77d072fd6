"""All that an application sees of live channels through an SDK, over TLS."""

from __future__ import annotations

import pytest
from tests.rig import live_story

pytestmark = pytest.mark.acceptance


class JavaScript(live_story.LiveStory):
    """The SDK for JavaScript, in Node.js."""

    program = "javascript"
    secure = True


class Python(live_story.LiveStory):
    """The SDK for Python."""

    program = "python"
    secure = True
