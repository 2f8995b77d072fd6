"""Who asks."""

from __future__ import annotations

from base64 import b64encode

from twisted.trial.unittest import SynchronousTestCase

from lineside.standin.authentication import GUEST, Credentials, authenticate
from lineside.standin.errors import FrappeError

CREDENTIALS = Credentials("key", "secret", "Administrator")


class Authentication(SynchronousTestCase):
    def test_the_key_opens_whatever_the_case_of_the_scheme(self) -> None:
        """As token or as Basic."""
        basic = b64encode(b"key:secret").decode()
        for header in ("token key:secret", "TOKEN key:secret", f"Basic {basic}"):
            self.assertEqual(authenticate(header, CREDENTIALS), "Administrator")

    def test_no_header_and_a_header_that_is_not_two_words_are_guests(self) -> None:
        """Two spaces make three words, as measured."""
        for header in (None, "", "token", "token  key:secret"):
            self.assertEqual(authenticate(header, CREDENTIALS), GUEST)

    def test_a_wrong_key_secret_or_scheme_is_401(self) -> None:
        """Whatever it claims to be."""
        wrong = b64encode(b"key:other").decode()
        for header in ("token key:other", "token other:secret", "Foo bar", f"Basic {wrong}", "Bearer key:secret"):
            error = self.assertRaises(FrappeError, authenticate, header, CREDENTIALS)
            self.assertEqual((error.exc_type, error.status), ("AuthenticationError", 401))

    def test_basic_that_cannot_be_decoded_is_400(self) -> None:
        """A malformed token is not a wrong one."""
        error = self.assertRaises(FrappeError, authenticate, "Basic %%%", CREDENTIALS)
        self.assertEqual((error.exc_type, error.status), ("InvalidAuthorizationToken", 400))
