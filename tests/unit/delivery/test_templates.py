"""What templates make of a payload: never anything but what it says."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lineside.delivery.templates import (
    RenderError,
    Scope,
    TemplateProblem,
    compile_condition,
    compile_template,
    scope,
)
from lineside.model.event import Event, Record, Seq

RECEIVED = 1_772_434_800_123_456_789
"""2026-03-02 07:00:00.123456789 UTC."""
ZONE = ZoneInfo("Asia/Kolkata")

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
ONE = compile_template("{{ code }}", "document.code")
INSIDE_TEXT = compile_template("<{{ code }}>", "document.text")


def seen(**payload: Any) -> Scope:
    """Return what templates see of a payload from the source "gate"."""
    record = Record(Seq(42), "ab12", "gate", RECEIVED, Event(b"{}", key="k-1", device="10.0.0.7"))
    return scope(record, payload, ZONE)


def render(template: object, /, **payload: Any) -> Any:
    """Render a template over a payload."""
    return compile_template(template, "document").render(seen(**payload))


class TemplateTestCase(SynchronousTestCase):
    """A test of templates."""

    def assertRefused(self, reason: str, template: object, /, **payload: Any) -> None:
        """Check that a payload does not fit a template, for exactly this reason."""
        with self.assertRaises(RenderError) as caught:
            render(template, **payload)
        self.assertEqual(reason, caught.exception.reason)

    def assertProblem(self, problem: str, template: object) -> None:
        """Check that a template does not compile, for exactly this reason."""
        with self.assertRaises(TemplateProblem) as caught:
            compile_template(template, "document")
        self.assertEqual([f"document: {problem}"], caught.exception.problems)


class CarryingValues(TemplateTestCase):
    """A template that is one expression."""

    @given(JSON)
    @example("4711")
    @example("00123")
    @example("10E5")
    @example("None")
    @example("{{ 7 * 7 }}")
    @example("{% for %}")
    @example("")
    @example("true")
    @example(" 1.0 ")
    @example(True)
    @example(1.0)
    def test_carries_any_value_unchanged_and_with_its_type(self, value: object) -> None:
        """Codes stay codes, numbers numbers, null null: what goes in comes out, byte for byte as JSON."""
        result = ONE.render(seen(code=value))
        self.assertEqual(msgspec.json.encode(value), msgspec.json.encode(result))
        self.assertIs(type(value), type(result))

    @given(st.text())
    @example("{{ 7 * 7 }}")
    @example("<script>&amp;")
    def test_text_inside_text_stays_as_it_is(self, value: str) -> None:
        """Nothing is escaped and nothing is evaluated where a field is part of a longer text."""
        self.assertEqual(f"<{value}>", INSIDE_TEXT.render(seen(code=value)))

    @given(st.dictionaries(st.text(), JSON))
    @example(
        {
            "payload": 1,
            "event": 2,
            "namespace": 3,
            "self": 4,
            "context": 5,
            "": 6,
            "the target's time zone": 7,
            "template": 8,
        }
    )
    def test_no_field_name_breaks_the_others(self, payload: dict[str, Any]) -> None:
        """Whatever a device calls its fields, all of them are there and the envelope is whole."""
        result = render({"all": "{{ payload }}", "from": "{{ event.source }}"}, **payload)
        self.assertEqual({"all": payload, "from": "gate"}, result)

    def test_a_result_shares_nothing_with_the_payload(self) -> None:
        """What a target does to its document never reaches another route's."""
        rows = [{"code": "A"}]
        result = render("{{ rows }}", rows=rows)
        result[0]["code"] = "B"
        self.assertEqual([{"code": "A"}], rows)

    def test_an_expression_may_reckon(self) -> None:
        """Its result keeps the type that it has."""
        self.assertEqual(7.5, render("{{ gross - tare }}", gross=10.0, tare=2.5))
        self.assertIs(True, render("{{ gross > 5 }}", gross=10))
        self.assertEqual(
            ["A", "B"], render("{{ rows | map(attribute='code') }}", rows=[{"code": "A"}, {"code": "B"}])
        )


class Documents(TemplateTestCase):
    """Tables of templates."""

    def test_a_table_keeps_its_shape(self) -> None:
        """Nested tables, child tables, numbers and booleans are what the file says."""
        template = {
            "company": "Brick & Co",
            "docstatus": 1,
            "rate": 0.5,
            "is_return": False,
            "items": [{"item_code": "{{ item }}", "qty": "{{ qty }}"}, {"item_code": "BOX", "qty": 1}],
        }
        result = render(template, item="00123", qty=3)
        self.assertEqual(
            {**template, "items": [{"item_code": "00123", "qty": 3}, {"item_code": "BOX", "qty": 1}]}, result
        )

    def test_text_around_an_expression_makes_a_text(self) -> None:
        """Null reads as nothing, and what is no text reads as JSON, however it is put together."""
        payload = {"a": None, "b": True, "c": 1.5, "d": [1, "x"], "e": "ü"}
        expected = '|true|1.5|[1,"x"]|ü'
        self.assertEqual(expected, render("{{ a }}|{{ b }}|{{ c }}|{{ d }}|{{ e }}", **payload))
        self.assertEqual(expected, render("{{ a ~ '|' ~ b ~ '|' ~ c ~ '|' ~ d ~ '|' ~ e }}", **payload))
        self.assertEqual(expected, render("{{ [a, b, c, d, e] | join('|') }}", **payload))

    def test_space_around_an_expression_is_text(self) -> None:
        """Exactly one expression means nothing beside it."""
        self.assertEqual(" 7\n", render(" {{ qty }}\n", qty=7))

    def test_statements_make_a_text(self) -> None:
        """Loops, conditions and counters are there."""
        rows = [{"code": "A", "qty": 2}, {"code": "B", "qty": 3}]
        lines = (
            "{% for row in rows %}{{ loop.index }}:{{ row.code }}{% if not loop.last %}, {% endif %}{% endfor %}"
        )
        self.assertEqual("1:A, 2:B", render(lines, rows=rows))
        total = "{% set n = namespace(t=0) %}{% for r in rows %}{% set n.t = n.t + r.qty %}{% endfor %}{{ n.t }}"
        self.assertEqual("5", render(total, rows=rows))

    def test_a_dot_reaches_fields_never_methods(self) -> None:
        """A payload may call its fields what Python calls its methods."""
        self.assertEqual([1], render("{{ order['items'] }}", order={"items": [1]}))
        self.assertEqual([1], render("{{ order.items }}", order={"items": [1]}))
        self.assertEqual(["a"], render("{{ rows | map(attribute='keys') }}", rows=[{"keys": "a"}]))
        self.assertRefused('no field "order.items"', "{{ order.items }}", order={})
        self.assertEqual([["a", 1]], render("{{ order.items() | list }}", order={"a": 1}))
        self.assertEqual("none", render("{{ order.get('note', 'none') }}", order={}))


class Envelope(TemplateTestCase):
    """What is known of an event beside its payload."""

    def test_tells_where_an_event_comes_from(self) -> None:
        """Every field is JSON, the time of arrival as ISO text in UTC with microseconds."""
        expected = {
            "id": "ab12-42",
            "seq": 42,
            "source": "gate",
            "device": "10.0.0.7",
            "key": "k-1",
            "received": "2026-03-02T07:00:00.123456Z",
        }
        self.assertEqual(expected, render("{{ event }}"))

    def test_a_payload_cannot_pose_as_the_envelope(self) -> None:
        """A field called event is reached through payload only."""
        self.assertEqual("gate", render("{{ event.source }}", event={"source": "evil"}))
        self.assertEqual("evil", render("{{ payload.event.source }}", event={"source": "evil"}))

    def test_a_misspelt_field_is_found_before_any_event_comes(self) -> None:
        """The envelope's fields are known, so a wrong one is the configuration's error."""
        self.assertProblem('event has no field "sorce"; did you mean "source"?', "{{ event.sorce }}")
        self.assertEqual("x", render("{% for event in rows %}{{ event.sorce }}{% endfor %}", rows=[{"sorce": "x"}]))


class MissingFields(TemplateTestCase):
    """What a payload lacks."""

    def test_a_missing_field_is_named(self) -> None:
        """The dead letter says which field would have been needed, by its whole path, and where."""
        self.assertRefused('no field "employee"', "{{ employee }}")
        self.assertRefused('no field "employee"', "Employee {{ payload.employee }}")
        self.assertRefused('no field "order.customer"', "{{ order.customer.name | upper }}", order={})
        self.assertRefused('no field "rows.1"', "{{ rows.1 }}", rows=["a"])
        self.assertRefused('no field "a.code" or "b.code"', "{{ a.code ~ b.code }}", a={}, b={"code": 1})
        for name in ("int", "float", "number", "site_time", "string", "join", "lower"):
            self.assertRefused('no field "at"', f"{{{{ at | {name} }}}}")
        with self.assertRaises(RenderError) as caught:
            render({"items": [{"item code": "{{ code }}"}]})
        self.assertEqual('document.items[0]."item code": no field "code"', str(caught.exception))

    def test_a_missing_field_is_no_function(self) -> None:
        """A scale that sends no range gets no function of that name instead."""
        self.assertRefused('no field "range"', "{{ range }}")
        self.assertRefused('no field "dict"', "{{ dict }}")

    def test_a_default_stands_in(self) -> None:
        """A template can say what to do without a field."""
        self.assertEqual("-", render("{{ note | default('-') }}"))
        self.assertIsNone(render("{{ note | default(none) }}"))
        self.assertEqual("no", render("{{ 'yes' if note is defined else 'no' }}"))


class BadPayloads(TemplateTestCase):
    """What does not fit a template becomes an error that says why, and never what the payload holds."""

    def test_reasons_do_not_quote_the_payload(self) -> None:
        """A reason is logged, and payloads never are."""
        secret = "hunter2"
        for template in (
            "{{ x | int }}",
            "{{ x | number }}",
            "{{ x | site_time }}",
            "{{ x + 1 }}",
            "{{ {}[x] }}",
            "{{ x.y }}",
            "{{ [1] | sum(start=x) }}",
            "{{ x | attr(x) }}",
            "{{ '%d' | format(x) }}",
            "{{ x | batch(2) | groupby(x) }}",
        ):
            with self.assertRaises(RenderError, msg=template) as caught:
                render(template, x=secret)
            self.assertNotIn(secret, str(caught.exception))

    def test_a_result_that_is_no_json_is_refused(self) -> None:
        """A target never sees what cannot be sent to it."""
        self.assertRefused("the number is too large", "{{ x * 10 }}", x=1e308)
        self.assertRefused("the text is no Unicode: it holds half of a surrogate pair", "{{ x }}", x="\ud800")
        self.assertRefused("a key of the result is a int; keys are text", "{{ {1: 2} }}")
        self.assertRefused(
            "the result is a Namespace, which has no place in a document", "{{ namespace(code=x) }}", x="a"
        )
        self.assertRefused("the text has more than 1,048,576 characters", "{{ x * 2 }}", x="y" * 600_000)

    def test_python_stays_out_of_reach(self) -> None:
        """Templates are sandboxed: neither internals nor changes to the payload."""
        self.assertRefused("access to attribute '__class__' of 'str' object is unsafe.", "{{ x.__class__ }}", x="a")
        self.assertRefused("access to attribute 'append' of 'list' object is unsafe.", "{{ x.append(1) }}", x=[])


class Conditions(TemplateTestCase):
    """A route's `when`."""

    def holds(self, condition: str, **payload: Any) -> bool:
        """Tell whether a condition holds for a payload."""
        return compile_condition(condition, "when").holds(seen(**payload))

    def test_decides_by_the_payload(self) -> None:
        """The usual case; space around the expression does not matter."""
        self.assertTrue(self.holds("{{ kind == 'checkin' }}", kind="checkin"))
        self.assertFalse(self.holds("{{ kind == 'checkin' }}", kind="count"))
        self.assertTrue(self.holds(" {{ event.source in ['gate', 'door'] }}\n"))

    def test_a_missing_field_is_false_and_unequal(self) -> None:
        """An event of another shape is simply not this route's business."""
        for condition in (
            "kind",
            "kind == 'checkin'",
            "kind == other",
            "kind == none",
            "kind == ''",
            "order.items",
            "order.lines.0.code == 'A'",
            "qty > 5",
            "qty < 5",
            "qty | int > 5",
            "qty | number <= 5",
            "qty * 2 + 1 > 0",
            "5 - qty < 100",
            "at | site_time > '2026'",
            "kind.lower() == 'checkin'",
            "kind in ['checkin']",
            "'a' in kind",
        ):
            self.assertFalse(self.holds(f"{{{{ {condition} }}}}", order={}), condition)

    def test_a_missing_field_spoils_no_other_part(self) -> None:
        """What does not hang on the missing field still decides."""
        self.assertTrue(self.holds("{{ qty | int > 5 or kind == 'checkin' }}", kind="checkin"))
        self.assertTrue(self.holds("{{ kind != 'checkin' }}"))
        self.assertTrue(self.holds("{{ not deleted }}"))
        self.assertTrue(self.holds("{{ kind is not defined }}"))

    def test_what_cannot_be_told_is_an_error(self) -> None:
        """A text where a number belongs is not taken for false: the event would be lost in silence."""
        with self.assertRaises(RenderError) as caught:
            self.holds("{{ qty > 5 }}", qty="7")
        self.assertEqual("when: '>' not supported between instances of 'str' and 'int'", str(caught.exception))
        self.assertRaises(RenderError, self.holds, "{{ qty | int > 5 }}", qty="seven")

    def test_must_be_exactly_one_expression(self) -> None:
        """Anything else would always be true; the error shows how to write it."""
        for wrong, shown in (
            ("kind == 'checkin'", "{{ kind == 'checkin' }}"),
            ("{{ a }}{{ b }}", "{{ kind == 'checkin' }}"),
            ("{{ a }} and {{ b }}", "{{ kind == 'checkin' }}"),
            ("{% if a %}1{% endif %}", "{{ kind == 'checkin' }}"),
            ("", "{{ kind == 'checkin' }}"),
        ):
            with self.assertRaises(TemplateProblem) as caught:
                compile_condition(wrong, "when")
            self.assertEqual(
                [f'when: expected exactly one expression, such as "{shown}"'], caught.exception.problems
            )
        self.assertRaises(TemplateProblem, compile_condition, True, "when")
        self.assertRaises(TemplateProblem, compile_condition, "{{ a | uper }}", "when")


class Problems(TemplateTestCase):
    """What is wrong with a template is told when it is compiled, not when the first event comes."""

    def test_misspelt_names_are_told_with_a_suggestion(self) -> None:
        """Filters and tests, also inside a branch that may never run."""
        self.assertProblem('unknown filter "sitetime"; did you mean "site_time"?', "{{ at | sitetime }}")
        self.assertProblem('unknown filter "uper"; did you mean "upper"?', "{% if a %}{{ b | uper }}{% endif %}")
        self.assertProblem('unknown test "defind"; did you mean "defined"?', "{{ a if a is defind else 1 }}")

    def test_functions_are_told_apart_from_filters(self) -> None:
        """A payload has no functions, so a call to one is a mistake."""
        self.assertProblem('unknown function "now"', "{{ now() }}")
        self.assertProblem(
            'unknown function "site_time"; it is a filter: write value | site_time', "{{ site_time(at) }}"
        )

    def test_syntax_errors_are_told(self) -> None:
        """With the line, where there are several."""
        self.assertProblem("unexpected '}'", "{{ a }")
        self.assertProblem("line 2: unexpected '}'", "first\n{{ a }")

    def test_other_templates_are_out_of_reach(self) -> None:
        """There is one file."""
        self.assertProblem("a template cannot read other templates", "{% include 'other' %}")

    def test_values_that_documents_do_not_have(self) -> None:
        """TOML knows dates and infinity, JSON does not."""
        self.assertProblem("inf has no place in a document", float("inf"))

    def test_a_number_that_python_does_not_read(self) -> None:
        """It is told like any other mistake."""
        self.assertProblem("a number has too many digits", "{{ " + "9" * 5_000 + " }}")

    def test_all_problems_of_a_table_are_told_at_once(self) -> None:
        """Each with its key path."""
        table = {"a": "{{ x | foo }}", "rows": [{"b c": "{{ x"}], "fine": "{{ x }}"}
        with self.assertRaises(TemplateProblem) as caught:
            compile_template(table, "routes.r.document")
        self.assertEqual(
            [
                'routes.r.document.a: unknown filter "foo"',
                "routes.r.document.rows[0].\"b c\": unexpected end of template, expected 'end of print statement'.",
            ],
            caught.exception.problems,
        )
