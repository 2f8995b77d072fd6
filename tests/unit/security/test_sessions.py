"""A session's text, its cookie, and what a page shows beside it."""

from __future__ import annotations

from unittest import TestCase

from lineside.security.sessions import (
    COOKIE,
    CSRF_HEADER,
    SECURE_COOKIE,
    Session,
    cookie_of,
    csrf_of,
    mint,
    read,
    same_origin,
    set_cookie,
    shown,
)

HOUR = 3_600_000_000_000
HOST = {"host": "gateway.example:8443"}


def counting(count: int) -> bytes:
    return bytes(range(count))


class Texts(TestCase):
    """What the browser keeps."""

    def setUp(self) -> None:
        self.text, identifier, digest = mint(counting)
        self.session = Session(identifier, "ann", "Ann", "viewer", digest, created=0, seen=0, where="here")

    def test_only_its_own_secret_matches(self) -> None:
        """The hash that is kept tells the secret from every other, and does not hold it."""
        parts = read(self.text)
        assert parts is not None
        self.assertEqual(parts[0], self.session.id)
        self.assertTrue(self.session.matches(parts[1]))
        self.assertFalse(self.session.matches("00" * 32))
        self.assertNotIn(bytes.fromhex(parts[1]), self.session.hash)

    def test_what_has_not_the_form_is_none(self) -> None:
        """An API token, a cut text and one with more behind it are no sessions."""
        for text in ("", self.text[:-1], self.text + "0", self.text.upper(), "lst_" + self.text[4:]):
            self.assertIsNone(read(text), text)

    def test_it_ends_unused_and_by_age(self) -> None:
        """Using it helps against the one, and not against the other."""
        limits = {"idle": HOUR, "lifetime": 3 * HOUR}
        self.assertTrue(self.session.lives(HOUR - 1, **limits))
        self.assertFalse(self.session.lives(HOUR, **limits))
        self.session.seen = 3 * HOUR - 1
        self.assertTrue(self.session.lives(3 * HOUR - 1, **limits))
        self.assertFalse(self.session.lives(3 * HOUR, **limits))

    def test_a_clock_that_is_put_back_keeps_none_alive(self) -> None:
        """Else it would live for as long as the clock is behind; a second that is set right ends nothing."""
        limits = {"idle": HOUR, "lifetime": 3 * HOUR}
        self.session.created = self.session.seen = HOUR
        self.assertTrue(self.session.lives(HOUR - 1_000_000_000, **limits))
        self.assertFalse(self.session.lives(0, **limits))

    def test_only_the_page_of_a_session_can_show_its_second_text(self) -> None:
        """That of another session, none, and odd letters are refused; so is the right one from another site."""
        other, _, _ = mint(lambda count: b"x" * count)
        right = {**HOST, CSRF_HEADER: csrf_of(self.text)}
        self.assertTrue(shown(self.text, right))
        self.assertTrue(shown(self.text, {**right, "origin": "https://gateway.example:8443"}))
        for wrong in (
            HOST,
            {**HOST, CSRF_HEADER: csrf_of(other)},
            {**HOST, CSRF_HEADER: "\udcff\u00e9"},
            {**right, "origin": "https://evil.example"},
            {**right, "origin": "null"},
            {**right, "sec-fetch-site": "cross-site"},
            {**right, "sec-fetch-site": "same-site"},
        ):
            self.assertFalse(shown(self.text, wrong), wrong)

    def test_a_program_says_nothing_of_its_origin(self) -> None:
        """Only browsers do."""
        self.assertTrue(same_origin(HOST))

    def test_no_variant_of_an_origin_passes(self) -> None:
        """None that is opaque, is doubled, only begins or ends as this host's does, or names no host at all."""
        host = HOST["host"]
        for origin in (
            "null",
            "",
            f"https://{host}, https://evil.example",
            f"https://{host}.evil.example",
            f"https://evil.{host}",
            f"https://evil.example/{host}",
            f"https://user@{host}",
            "https://gateway.example",
            f"//{host}",
            host,
        ):
            for headers in (HOST, {}, {"host": ""}):
                self.assertFalse(same_origin({**headers, "origin": origin}, secure=True), (origin, headers))
        self.assertFalse(same_origin({"origin": "null"}))
        self.assertFalse(same_origin({**HOST, "sec-fetch-site": "same-origin, cross-site"}))

    def test_where_there_is_tls_a_page_without_it_is_another_sites(self) -> None:
        """Anybody on the way may have written it."""
        page = {**HOST, "origin": f"http://{HOST['host']}"}
        self.assertTrue(same_origin(page))
        self.assertFalse(same_origin(page, secure=True))


class Cookies(TestCase):
    """The header both ways."""

    def test_no_script_reads_it_and_no_other_site_sends_it(self) -> None:
        """Over TLS browsers keep it for TLS and this host alone."""
        self.assertEqual(
            set_cookie(COOKIE, "x", seconds=60), "lineside=x; Path=/; Max-Age=60; HttpOnly; SameSite=Strict"
        )
        self.assertTrue(set_cookie(SECURE_COOKIE, "x", seconds=60).endswith("; Secure"))

    def test_it_is_found_among_others(self) -> None:
        """A browser sends all cookies of a host in one line, whatever port they are of."""
        headers = {"cookie": "sid=1; lineside=abc=d; __Host-lineside=e"}
        self.assertEqual(cookie_of(headers, COOKIE), "abc=d")
        self.assertEqual(cookie_of(headers, SECURE_COOKIE), "e")
        self.assertIsNone(cookie_of(headers, "side"))
        self.assertIsNone(cookie_of({}, COOKIE))

    def test_of_two_that_differ_none_is_taken(self) -> None:
        """A neighbour may plant one for the whole domain, which a browser sends first if its path is longer."""
        self.assertIsNone(cookie_of({"cookie": "lineside=planted; lineside=own"}, COOKIE))
        self.assertIsNone(cookie_of({"cookie": "lineside=planted, a=b; lineside=own"}, COOKIE))
        self.assertEqual(cookie_of({"cookie": "lineside=own; lineside=own"}, COOKIE), "own")

    def test_a_huge_header_is_read_once(self) -> None:
        """Tens of thousands of cookies, of which one is ours."""
        header = "; " * 20_000 + "x=" * 20_000 + ";" + "lineside" * 5_000 + ";lineside=own;" + "=;" * 20_000
        self.assertEqual(cookie_of({"cookie": header}, COOKIE), "own")
