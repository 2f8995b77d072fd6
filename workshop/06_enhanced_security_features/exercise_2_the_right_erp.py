"""Exercise 2 (on your own): the right ERP.

The ERP moves to https, with a certificate of the company's own CA. `Agent` takes an object that decides how it meets
each server (`IPolicyForHTTPS`): ``Agent(reactor, contextFactory=ErpPolicy(ca))``. When a connection to a server is to
be made, Agent calls its ``creatorForNetloc`` with the host and port of the URL.

Somebody found `ErpPolicy` on the web, in answer to "how do I get rid of certificate verify failed". It works with
every server. That is what is wrong with it: the API key goes to whoever answers.

- A server is spoken to only if our CA has signed its certificate, and no other CA, not even a well-known one, and
- if the certificate is for the host in the URL, be it a name or an address;
- and nothing is sent to anybody else.

``ca`` is a `twisted.internet.ssl.Certificate`.
"""

from twisted.internet.ssl import CertificateOptions
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer


@implementer(IPolicyForHTTPS)
class ErpPolicy:
    """Tells Agent how to meet a server."""

    def __init__(self, ca):
        self.ca = ca

    def creatorForNetloc(self, hostname, port):
        # TODO: `hostname` is bytes, such as b"erp.example".
        return CertificateOptions()
