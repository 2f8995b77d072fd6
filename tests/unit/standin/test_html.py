"""HTML in text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lineside.standin.html import sanitised


class Sanitising(SynchronousTestCase):
    def test_what_could_run_becomes_text(self) -> None:
        """As measured; unknown tags as well."""
        self.assertEqual(sanitised("<script>alert(1)</script>b"), "&lt;script&gt;alert(1)&lt;/script&gt;b")
        self.assertEqual(sanitised("<b>x</b><script>1</script>"), "<b>x</b>&lt;script&gt;1&lt;/script&gt;")
        self.assertEqual(sanitised("<scan id=7>"), "&lt;scan id=7&gt;")

    def test_handlers_and_dangerous_addresses_are_dropped(self) -> None:
        """The rest of a tag stays."""
        self.assertEqual(sanitised('<b onclick="x()" class="y">z</b>'), '<b class="y">z</b>')
        self.assertEqual(sanitised('<a href="javascript:x()">z</a>'), "<a>z</a>")
        self.assertEqual(sanitised('<a href="/app/item?a=1&b=2">z</a>'), '<a href="/app/item?a=1&amp;b=2">z</a>')

    def test_text_without_a_tag_and_json_stay_as_they_are(self) -> None:
        """A comparison is no HTML."""
        for text in ("5 < 6", "a > b & c", '{"a": "<b>"}', "plain", "<3"):
            self.assertEqual(sanitised(text), text)

    def test_what_is_left_open_is_closed(self) -> None:
        """References and known entities survive."""
        self.assertEqual(sanitised("<b><i>x</b>"), "<b><i>x</i></b>")
        self.assertEqual(sanitised("<p>a &amp; &#228;<br/>"), "<p>a &amp; &#228;<br></p>")
        self.assertEqual(sanitised("<!-- note --><b>x</b>"), "<b>x</b>")

    @given(st.text(alphabet="<>/b!-& \"'=scriptonx:;", max_size=40))
    def test_nothing_that_runs_survives_and_twice_is_once(self, text: str) -> None:
        """Whatever is given."""
        once = sanitised(text)
        self.assertNotIn("<script", once.lower())
        self.assertEqual(sanitised(once), once)
