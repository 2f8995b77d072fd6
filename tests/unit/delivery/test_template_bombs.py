"""A device's numbers and texts make no template hold the others up: it is refused before it is done."""

from __future__ import annotations

import tracemalloc
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lineside.delivery.bounds import MOST
from lineside.delivery.templates import RenderError, Scope, TemplateProblem, compile_template, scope
from lineside.model.event import Event, Record, Seq

TOO_LARGE = "the result is too large"
TOO_LONG = "the template takes too many steps for one event"
HUGE = 10**9
PAYLOAD = {
    "text": "x" * 100,
    "huge": HUGE,
    "list": list(range(1000)),
    "form": "%1000000000d",
    "wide": "{:>1000000000}",
}

LARGE = (
    "{{ text * huge }}",
    "{{ huge * text }}",
    "{{ list * huge }}",
    "{{ huge ** huge }}",
    "{{ (huge ** 250) * (huge ** 250) }}",
    "{{ form % 1 }}",
    "{{ form | format(1) }}",
    "{{ wide.format(1) }}",
    "{{ text.center(huge) }}",
    "{{ text.ljust(huge) }}",
    "{{ text.zfill(huge) }}",
    "{{ text.expandtabs(huge) }}",
    "{{ text.translate({120: 'y' * 1000000}) }}",
    "{{ text.replace('', 'y' * 1000000) }}",
    "{{ (text * 1000).join([text * 1000] * 1000) }}",
    "{{ text | center(huge) }}",
    "{{ text | center(width=huge) }}",
    "{{ [text] | map('center', huge) | list }}",
    "{{ text | indent(huge) }}",
    "{{ text | replace('', 'y' * 1000000) }}",
    "{{ text | wordwrap(1, wrapstring='y' * 1000000) }}",
    "{{ ([text * 1000] * 10000) | join(text) }}",
    "{{ huge | round(0 - huge) }}",
    "{{ list | tojson(huge) }}",
    "{{ list | slice(huge) | list }}",
    "{{ list | batch(huge, 'x') | list }}",
    "{% set all = namespace(x='ab') %}{% for i in list %}{% set all.x = all.x + all.x %}{% endfor %}",
)
LONG = (
    "{% for i in list %}{% for j in list %}{% for k in list %}x{% endfor %}{% endfor %}{% endfor %}",
    "{% for i in list %}{{ text * 200000 }}{% endfor %}",
    "{% set all = namespace(x='ab') %}{% for i in list %}{% set all.x = all.x ~ all.x %}{% endfor %}",
    "{% macro all(n) %}{% if n %}{{ all(n - 1) }}{{ all(n - 1) }}{% endif %}{% endmacro %}{{ all(60) }}",
    "{% for i in list recursive %}{% if loop.depth < 5 %}{{ loop(list) }}{% endif %}{% endfor %}",
    "{{ list | slice(2000000) | list }}",
)
WAYS_OUT = (
    "{{ text.__class__.__mro__ }}",
    "{{ text['__class__'] }}",
    "{{ text | attr('__class__') }}",
    "{{ '{0.__class__}'.format(text) }}",
    "{{ [text] | map(attribute='__class__') | list }}",
    "{{ list.append.__self__ }}",
    "{{ list.append(1) }}",
    "{{ (event.items()).__class__ }}",
)


def seen(**payload: Any) -> Scope:
    """Return what templates see of a payload."""
    return scope(Record(Seq(1), "ab12", "gate", 0, Event(b"{}")), {**PAYLOAD, **payload}, None)


class Bombs(SynchronousTestCase):
    """Templates whose payload asks for too much."""

    def refusal(self, template: str) -> str:
        with self.assertRaises(RenderError, msg=template) as caught:
            compile_template(template, "document").render(seen())
        return str(caught.exception.reason)

    def test_what_would_be_too_large_is_not_made(self) -> None:
        """Each is refused by its reckoned size: what is used of memory stays far below what was asked for."""
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        for template in LARGE:
            self.assertEqual(TOO_LARGE, self.refusal(template), template)
        self.assertLess(tracemalloc.get_traced_memory()[1], 150_000_000)

    def test_a_width_is_the_configurations(self) -> None:
        """A format may take its width from another value, which nobody could reckon beforehand."""
        for template in ("{{ '%*d' % (huge, 1) }}", "{{ '{:>{}}'.format(1, list) }}", "{{ '%*d' | format(9, 1) }}"):
            self.assertEqual("a format takes its width from a value", self.refusal(template), template)

    def test_loops_end(self) -> None:
        """Loops in loops, macros that call themselves and texts that double cost a bounded number of steps."""
        for template in LONG:
            self.assertEqual(TOO_LONG, self.refusal(template), template)

    def test_all_templates_of_a_record_have_one_budget(self) -> None:
        """Many that are each just small enough are no way around; the next record has its own."""
        half = compile_template("{% for i in list %}{% endfor %}", "document")
        long = seen(list=list(range(MOST // 2)))
        half.render(long)
        half.render(long)
        with self.assertRaises(RenderError):
            half.render(long)
        half.render(seen(list=list(range(MOST // 2))))

    def test_what_documents_need_is_as_it_was(self) -> None:
        """Widths, loops, macros, powers and large texts."""
        for template, expected in (
            ("{{ '%s-%05d' % ('A', 7) }} {{ '{:>4}'.format(5) }}", "A-00007    5"),
            ("{{ 'a' | center(5) }}|{{ 2 ** 10 }}|{{ 'ab' * 2 }}", "  a  |1024|abab"),
            (
                "{% for i in [1, 2] %}{{ loop.index }}/{{ loop.length }}{{ loop.last }} {% endfor %}",
                "1/2false 2/2true ",
            ),
            ("{% for i in [] %}x{% else %}none{% endfor %}", "none"),
            ("{% macro m(n) %}<{{ n }}>{% endmacro %}{{ m(1) }}{{ m(2) }}", "<1><2>"),
            ("{{ [3, 1] | sort | join('-') }}{{ 7.126 | round(2) }}", "1-37.13"),
            ("{{ list | slice(3) | list | length }}", 3),
            ("{{ (text * 10000) | length }}", 1_000_000),
        ):
            self.assertEqual(expected, compile_template(template, "document").render(seen()), template)


class WaysOut(SynchronousTestCase):
    """Templates that reach for what no payload holds."""

    def test_none_reaches_pythons_objects(self) -> None:
        """By attribute, by look-up, by filter or by format; and nothing of the payload is altered."""
        for template in WAYS_OUT:
            with self.assertRaises((RenderError, TemplateProblem), msg=template):
                compile_template(template, "document").render(seen())
        self.assertEqual(1000, len(PAYLOAD["list"]))  # type: ignore[arg-type]

    def test_what_a_payload_holds_is_never_a_template(self) -> None:
        """Its braces come out as they are."""
        payload = {"text": "{{ event.id }}{% for i in list %}"}
        self.assertEqual(
            "<{{ event.id }}{% for i in list %}>", compile_template("<{{ text }}>", "d").render(seen(**payload))
        )
