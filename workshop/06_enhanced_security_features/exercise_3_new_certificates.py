"""Exercise 3 (open): new certificates, and nobody is cut off.

The server's certificate ends in thirty days; a program renews it every three weeks and writes new files. The gateway
must take them up while it runs, for a restart would cut off every scanner in the middle of a shift.

`SSL4ServerEndpoint` asks the object that it was given once for each connection. Any object will do that provides
`IOpenSSLServerConnectionCreator`: it has one method, ``serverConnectionForTLS(protocol)``, and a `CertificateOptions`
has it as well. Write one that passes the question on to the newest options.

- ``Renewing(load)`` calls ``load()``, which reads the files and returns new `CertificateOptions`, and uses what it got.
- ``renew()`` calls ``load()`` again. New connections are made with the new options; those that stand go on.
- ``renew()`` may come at a bad moment: a file is half written (``load`` raises ValueError or OSError), or the key is
  new already and the certificate still the old one (``load`` does not notice; OpenSSL does, when a context is made
  with both: ``getContext()``, and it raises `OpenSSL.SSL.Error`). Then the old options stay in force, ``renew()``
  returns False, and ``self.problem`` says why, as text. After a success it returns True, and `problem` is None.
- If the very first ``load()`` fails there is nothing to fall back to: the error leaves ``Renewing(load)``.
"""

from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from zope.interface import implementer


@implementer(IOpenSSLServerConnectionCreator)
class Renewing:
    """Meets each new connection with the newest certificate that works."""

    problem = None

    def __init__(self, load):
        self.load = load
        # TODO

    def renew(self):
        # TODO
        return True

    def serverConnectionForTLS(self, protocol):
        # TODO: options that were read once when the program started would be the old ones for ever; these are read
        # for every connection, and a half-written file turns scanners away.
        return self.load().serverConnectionForTLS(protocol)
