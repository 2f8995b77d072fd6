"""Solution of exercise 3: new certificates, and nobody is cut off."""

from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from zope.interface import implementer


@implementer(IOpenSSLServerConnectionCreator)
class Renewing:
    """Meets each new connection with the newest certificate that works."""

    problem = None

    def __init__(self, load):
        self.load = load
        self.options = self.tried()

    def tried(self):
        """Return new options that are known to work."""
        options = self.load()
        # CertificateOptions makes its context with the first connection. That would be too late to find out that
        # key and certificate do not belong together, for the old pair would be gone by then.
        options.getContext()
        return options

    def renew(self):
        try:
            self.options = self.tried()
        except (OSError, ValueError, SSL.Error) as error:
            self.problem = f"{type(error).__name__}: {error}"
            return False
        self.problem = None
        return True

    def serverConnectionForTLS(self, protocol):
        # A connection keeps the context that it was made with, so those that stand are not touched by a renewal.
        return self.options.serverConnectionForTLS(protocol)
