"""Solution of exercise 2: the right ERP."""

from twisted.internet.ssl import optionsForClientTLS
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer


@implementer(IPolicyForHTTPS)
class ErpPolicy:
    """Tells Agent how to meet a server."""

    def __init__(self, ca):
        self.ca = ca

    def creatorForNetloc(self, hostname, port):
        # Without trustRoot the platform's hundred CAs would be trusted, and ours would not. The name is that of this
        # very connection: one policy serves all hosts. Twisted's BrowserLikePolicyForHTTPS(trustRoot=ca) does the
        # same, and would have been a solution too.
        return optionsForClientTLS(hostname.decode("ascii"), trustRoot=self.ca)
