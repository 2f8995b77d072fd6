"""The checks of the exercises of chapter 6."""

import ssl
from pathlib import Path

from OpenSSL import SSL
from OpenSSL.crypto import X509
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import (
    Certificate,
    CertificateOptions,
    PrivateCertificate,
    TLSVersion,
    optionsForClientTLS,
    trustRootFromCertificates,
)
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.test.iosim import connectedServerAndClient

from lineside.workshop.lessons import Lesson, imported

certificates = imported(Path(__file__).with_name("certificates.py"))

TLS_1_2 = {"raiseMinimumTo": TLSVersion.TLSv1_2, "lowerMaximumSecurityTo": TLSVersion.TLSv1_2}
TLS_1_3 = {"raiseMinimumTo": TLSVersion.TLSv1_3}


def twisted_certificate(certificate):
    """Return Twisted's certificate for one of cryptography."""
    return Certificate.loadPEM(certificates.pem(certificate))


def private(issued):
    """Return Twisted's private certificate for a certificate and key of cryptography."""
    certificate, key = issued
    return PrivateCertificate.loadPEM(certificates.pem(certificate) + certificates.key_pem(key))


class Talker(Protocol):
    """The other side: remembers what it hears, and why it was cut off."""

    def __init__(self, says=b""):
        self.says, self.heard, self.ended = says, b"", None

    def connectionMade(self):
        if self.says:
            self.transport.write(self.says)

    def dataReceived(self, data):
        self.heard += data

    def connectionLost(self, reason):
        self.ended = reason


class Meeting:
    """A client and a server, joined by TLS in memory."""

    def __init__(self, server_options, server, client_options, client):
        clock = Clock()
        self.server, self.client = server, client
        servers = TLSMemoryBIOFactory(server_options, False, Factory.forProtocol(lambda: server), clock)
        clients = TLSMemoryBIOFactory(client_options, True, Factory.forProtocol(lambda: client), clock)
        _client, _server, self.pump = connectedServerAndClient(
            lambda: servers.buildProtocol(None), lambda: clients.buildProtocol(None), clock=clock
        )
        self.pump.flush()

    def say(self, data):
        """Let the client say something, and the server answer."""
        self.client.transport.write(data)
        self.pump.flush()


class WhoIsThere(Lesson):
    """Exercise 1."""

    exercise = 1

    def setUp(self):
        super().setUp()
        self.ours = certificates.Authority("Workshop CA")
        self.own = self.ours.server("localhost")
        self.options = self.learner.tls(*self.own, self.ours.certificate)

    def visit(self, issued, says=b"", **versions):
        """Let a device come to the gate; it shows a certificate, or none."""
        ca = twisted_certificate(self.ours.certificate)
        shown = private(issued) if issued else None
        checks = optionsForClientTLS("localhost", ca, shown, extraCertificateOptions=dict(versions))
        try:
            return Meeting(self.options, self.learner.Gate(), checks, Talker(says))
        except SSL.Error as error:
            self.teach(False, f"OpenSSL cannot make a context with what tls() returned: {error}.")
        except AttributeError as error:
            self.teach(
                "to_cryptography" not in str(error),
                "The gate asked for the certificate, and there was none yet: getPeerCertificate() returned None. "
                "connectionMade is called when TCP is connected. The handshake, in which the certificate is shown, "
                "begins only then (TODO 4).",
            )
            raise

    def entered(self, issued, **versions):
        """Tell whether a device gets an answer, whatever the gate makes of it."""
        server, client = Talker(), Talker(b"BOLT-M8 5\n")
        ca = twisted_certificate(self.ours.certificate)
        shown = private(issued) if issued else None
        Meeting(
            self.options,
            server,
            optionsForClientTLS("localhost", ca, shown, extraCertificateOptions=versions),
            client,
        )
        return server.heard != b""

    def test_options(self):
        """tls() returns CertificateOptions."""
        self.teach(
            isinstance(self.options, CertificateOptions),
            f"tls() returned {type(self.options).__name__}; SSL4ServerEndpoint is to get CertificateOptions.",
        )

    def test_nobody(self):
        """Who shows no certificate does not come in."""
        self.teach(
            not self.entered(None),
            "A scanner without any certificate got in, and its line was read. Without a trustRoot, CertificateOptions "
            "asks nobody for a certificate; with requireCertificate=False it asks, and takes none for an answer "
            "(TODO 1).",
        )

    def test_foreign(self):
        """Who shows a certificate of another CA does not come in."""
        foreign = certificates.Authority("Somebody else's CA")
        self.teach(
            not self.entered(foreign.device("scanner-7")),
            "A stranger made a CA and signed itself a certificate for 'scanner-7', and it got in. That there is a "
            "certificate says nothing; ours has to be the CA that signed it. See what devices_of() is for (TODO 1).",
        )

    def test_impostor_with_the_same_name(self):
        """The CA counts by its key, and not by its name."""
        namesake = certificates.Authority("Workshop CA")
        self.teach(
            not self.entered(namesake.device("scanner-7")),
            "A stranger's CA that calls itself 'Workshop CA' like ours was believed. Leave the check to OpenSSL: it "
            "looks at the signature.",
        )

    def test_expired(self):
        """Who shows an expired certificate does not come in."""
        self.teach(
            not self.entered(self.ours.device("scanner-3", days=-1)),
            "A certificate that ended yesterday was taken. With trustRoot, OpenSSL looks at the dates as well.",
        )

    def test_ours(self):
        """A device of our CA comes in, by TLS 1.2 and by TLS 1.3."""
        for name, versions in {"TLS 1.2": TLS_1_2, "TLS 1.3": TLS_1_3}.items():
            self.teach(
                self.entered(self.ours.device("scanner-7"), **versions),
                f"scanner-7, with a certificate of our own CA, was turned away; it speaks {name}. Is the CA in the "
                "trustRoot the one that tls() was given? And is the minimum TLS 1.2, so that 1.2 is still allowed?",
            )

    def test_old_versions(self):
        """TLS 1.0 and 1.1 are not spoken."""
        switches = self.options.getContext().set_options(0)  # adds nothing, and returns what is set
        spoken = [
            name
            for name, switch in {"TLS 1.0": SSL.OP_NO_TLSv1, "TLS 1.1": SSL.OP_NO_TLSv1_1}.items()
            if not switches & switch
        ]
        self.teach(
            not spoken,
            f"Still allowed is {' and '.join(spoken)}. An attacker in between makes both sides agree on the oldest "
            "version that both allow. CertificateOptions has an argument that raises the minimum (TODO 2).",
        )

    def test_greeting(self):
        """A known device is greeted by its name."""
        gate = self.learner.Gate
        self.teach(
            IHandshakeListener.implementedBy(gate) or not hasattr(gate, "handshakeCompleted"),
            "Gate has handshakeCompleted, but Twisted will never call it: it asks first whether the protocol provides "
            "IHandshakeListener, and a method alone does not say so (TODO 3).",
        )
        meeting = self.visit(self.ours.device("scanner-7"))
        self.teach(
            meeting.client.heard,
            "scanner-7 showed its certificate, the handshake is done, and the gate said nothing. IHandshakeListener "
            "has one method, which is called now (TODO 4).",
        )
        self.teach(
            meeting.client.heard.replace(b"\r", b"") == b"HELLO scanner-7\n",
            f"scanner-7 was greeted with {meeting.client.heard!r}; expected is b'HELLO scanner-7' and a line's end.",
        )

    def test_lines(self):
        """Each line is answered with the name of the one who sent it."""
        one, other = self.visit(self.ours.device("scanner-7")), self.visit(self.ours.device("scanner-8"))
        other.say(b"NUT-M8 1\n")
        one.say(b"BOLT-M8 5\n")
        said = [meeting.client.heard.split(b"\n")[1:] for meeting in (one, other)]
        self.teach(
            said == [[b"OK scanner-7", b""], [b"OK scanner-8", b""]],
            f"scanner-7 and scanner-8 sent a line each and were answered {said}. The name belongs to the connection, "
            "that is, to self, and to no variable that all connections share.",
        )

    def test_early_line(self):
        """A line that comes along with the handshake is answered after the greeting."""
        meeting = self.visit(self.ours.device("scanner-7"), says=b"BOLT-M8 5\n")
        self.teach(
            meeting.client.heard == b"HELLO scanner-7\nOK scanner-7\n",
            f"A hasty scanner sent its line with the handshake and heard {meeting.client.heard!r}.",
        )


class TheRightErp(Lesson):
    """Exercise 2."""

    exercise = 2

    SECRET = b"token key:secret"

    def setUp(self):
        super().setUp()
        self.ours, self.foreign = certificates.Authority("Company CA"), certificates.Authority("Workshop CA")
        self.policy = self.learner.ErpPolicy(twisted_certificate(self.ours.certificate))

    def call(self, host, issued):
        """Call a host as Agent would; returns what the server heard, and the client."""
        try:
            creator = self.policy.creatorForNetloc(host, 443)
        except TypeError as error:
            self.teach(
                "text" not in str(error),
                f"creatorForNetloc({host!r}, 443) raised TypeError: {error}. Agent gives the host as bytes.",
            )
            raise
        self.teach(creator is not None, "creatorForNetloc returned None; Agent needs what makes the connection.")
        self.teach(
            not isinstance(creator, ssl.SSLContext),
            "creatorForNetloc returned an SSLContext of Python's ssl module. Twisted's TLS is built on pyOpenSSL; what "
            "it takes comes from twisted.internet.ssl.",
        )
        shown = private(issued).options()
        server, client = Talker(), Talker(self.SECRET)
        Meeting(shown, server, creator, client)
        return server.heard, client

    def test_impostor(self):
        """A server that another CA has signed hears nothing."""
        heard, _client = self.call(b"erp.example", self.foreign.server("erp.example"))
        self.teach(
            not heard,
            f"An impostor with a certificate that it signed itself heard {heard!r}. TLS without checks is a secret told "
            "to nobody knows whom. Somebody has to be trusted to say who is who: our CA.",
        )

    def test_wrong_name(self):
        """A server of our CA with another name hears nothing."""
        heard, _client = self.call(b"erp.example", self.ours.server("canteen.example"))
        self.teach(
            not heard,
            f"We called erp.example; canteen.example answered, with its own certificate of our CA, and heard {heard!r}. "
            "CertificateOptions does not know whom you called, so it cannot check the name. twisted.internet.ssl has a "
            "function that is told.",
        )

    def test_right(self):
        """The ERP with a certificate of our CA hears the request."""
        heard, client = self.call(b"erp.example", self.ours.server("erp.example"))
        self.teach(
            heard == self.SECRET,
            f"The right ERP, with a certificate of our CA for erp.example, was turned away: {told(client.ended)}. If "
            "the platform's CAs are asked, they do not know ours: say which one to trust.",
        )

    def test_other_hosts(self):
        """The name that is checked is the one in the URL."""
        heard, client = self.call(b"test.erp.example", self.ours.server("test.erp.example"))
        self.teach(
            heard == self.SECRET,
            f"The test system, test.erp.example, was turned away: {told(client.ended)}. One policy serves all URLs; "
            "take the name that creatorForNetloc is given.",
        )

    def test_address(self):
        """An ERP that is called by its address is known by it."""
        heard, client = self.call(b"192.0.2.7", self.ours.server("192.0.2.7"))
        self.teach(
            heard == self.SECRET,
            f"An ERP that is called by its address, 192.0.2.7, was turned away: {told(client.ended)}. Give the host on "
            "as it is, as text; Twisted sees by itself that it is an address.",
        )

    def test_device_is_no_server(self):
        """A device's certificate does not make a server."""
        heard, _client = self.call(b"scanner-7", self.ours.device("scanner-7"))
        self.teach(
            not heard,
            f"A scanner played the server with its own certificate, which is for clients, and heard {heard!r}. Do not "
            "replace OpenSSL's checks by a callback of your own that accepts.",
        )

    def test_expired(self):
        """An expired certificate is refused."""
        heard, _client = self.call(b"erp.example", self.ours.server("erp.example", days=-1))
        self.teach(not heard, f"A server whose certificate ended yesterday heard {heard!r}.")


def told(reason):
    """Return in a few words why a connection ended."""
    if isinstance(reason, Failure):
        return f"{reason.type.__name__}: {reason.getErrorMessage() or reason.value!r}"
    return "it stands, and nothing arrived"


class NewCertificates(Lesson):
    """Exercise 3."""

    exercise = 3

    def setUp(self):
        super().setUp()
        self.ours = certificates.Authority("Workshop CA")
        self.old, self.new = self.ours.server("old.example"), self.ours.server("new.example")
        self.files = self.old
        self.reads = 0

    def load(self):
        """Stand for reading the files."""
        self.reads += 1
        if isinstance(self.files, Exception):
            raise self.files
        certificate, key = self.files
        ca = Certificate(X509.from_cryptography(self.ours.certificate))
        return CertificateOptions(
            privateKey=key, certificate=certificate, trustRoot=trustRootFromCertificates([ca])
        )

    def visit(self, renewing):
        """Let a device connect, and check nothing."""
        device = private(self.ours.device("scanner-7")).options()
        try:
            return Meeting(renewing, Talker(), device, Talker())
        except (ValueError, OSError, SSL.Error) as error:
            self.teach(
                False,
                f"A scanner connected, and got {type(error).__name__} ({error}). The trouble with the files belongs "
                "to renew(), in which there is still something older to go on with.",
            )

    def shown(self, meeting):
        """Return the name in the certificate that the server showed."""
        certificate = meeting.client.transport.getPeerCertificate()
        self.teach(certificate is not None, "A scanner connected, and the server showed no certificate.")
        return certificate.to_cryptography().subject.rfc4514_string()

    def renewed(self, renewing):
        """Renew; what load() raises must not come out."""
        try:
            return renewing.renew()
        except (ValueError, OSError, SSL.Error) as error:
            self.teach(
                False,
                f"renew() raised {type(error).__name__}: {error}. Whoever calls it every hour can do nothing about "
                "it. Keep the old options, say why in self.problem, and return False.",
            )

    def test_first(self):
        """Connections are made with what was loaded at the start."""
        renewing = self.learner.Renewing(self.load)
        self.teach(
            self.reads, "Renewing(load) did not call load(): that there is a certificate shows at the start."
        )
        self.teach(self.shown(self.visit(renewing)) == "CN=old.example", "The server showed another certificate.")

    def test_not_each_time(self):
        """The files are read when they are renewed, and not for every connection."""
        renewing = self.learner.Renewing(self.load)
        reads = self.reads
        for _ in range(3):
            self.visit(renewing)
        self.teach(
            self.reads == reads,
            f"For three connections load() was called {self.reads - reads} times. Reading files and making a context "
            "takes time while nobody else is heard, and a half-written file turns the scanner away. Keep the options.",
        )

    def test_renew(self):
        """After renew() new connections are made with the new certificate."""
        renewing = self.learner.Renewing(self.load)
        self.visit(renewing)
        self.files = self.new
        result = self.renewed(renewing)
        shown = self.shown(self.visit(renewing))
        self.teach(
            shown == "CN=new.example",
            f"After renew() a new connection was shown {shown}; the new certificate is CN=new.example.",
        )
        self.teach(result is True, f"renew() worked, and returned {result!r} in place of True.")
        self.teach(
            renewing.problem is None, f"renew() worked, and problem is {renewing.problem!r} in place of None."
        )

    def test_standing(self):
        """A connection that stands goes on."""
        renewing = self.learner.Renewing(self.load)
        meeting = self.visit(renewing)
        self.files = self.new
        self.renewed(renewing)
        meeting.say(b"BOLT-M8 5\n")
        self.teach(
            meeting.server.heard == b"BOLT-M8 5\n" and meeting.server.ended is None,
            "A scanner that was connected before renew() cannot speak any more. A renewal is for new connections.",
        )

    def test_half_written(self):
        """A file that cannot be read leaves the old certificate in force."""
        for trouble in ValueError("Unable to load PEM file"), FileNotFoundError("server.pem"):
            self.files = self.old
            renewing = self.learner.Renewing(self.load)
            self.files = trouble
            result = self.renewed(renewing)
            self.teach(
                result is False, f"load() raised {trouble!r}, and renew() returned {result!r}; expected is False."
            )
            self.teach(
                isinstance(renewing.problem, str) and str(trouble) in renewing.problem,
                f"load() raised {trouble!r}, and problem is {renewing.problem!r}. Say as text what was wrong: somebody "
                "has to find it before the old certificate ends.",
            )
            shown = self.shown(self.visit(renewing))
            self.teach(shown == "CN=old.example", f"After a renewal that failed, {shown} was shown.")

    def test_pair(self):
        """A key that is not the certificate's leaves the old pair in force."""
        renewing = self.learner.Renewing(self.load)
        self.files = (self.old[0], self.new[1])
        result = self.renewed(renewing)
        self.teach(
            result is False,
            f"The key was new, the certificate still the old one, and renew() returned {result!r}. CertificateOptions "
            "makes its context with the first connection, and only then OpenSSL sees that the two do not match. "
            "Have the context made in renew(), before the old options are given up.",
        )
        shown = self.shown(self.visit(renewing))
        self.teach(shown == "CN=old.example", f"Key and certificate did not match, and then {shown} was shown.")
        self.files = self.new
        result = self.renewed(renewing)
        self.teach(
            result is True and renewing.problem is None,
            f"Once both files were new, renew() returned {result!r} and problem is {renewing.problem!r}. What went "
            "wrong before is over.",
        )
        self.teach(self.shown(self.visit(renewing)) == "CN=new.example", "The new certificate is not shown.")

    def test_nothing_to_fall_back_to(self):
        """If the first load fails, Renewing(load) fails."""
        for files, expected in (
            (ValueError("Unable to load PEM file"), ValueError),
            ((self.old[0], self.new[1]), SSL.Error),
        ):
            self.files = files
            try:
                self.learner.Renewing(self.load)
            except expected:
                continue
            self.teach(
                False,
                f"The very first load() gave nothing that works ({expected.__name__}), and Renewing(load) hid it. A "
                "server that starts without a certificate looks well and answers nobody.",
            )

    def test_still_checked(self):
        """Devices are asked for their certificate as before."""
        renewing = self.learner.Renewing(self.load)
        self.files = self.new
        self.renewed(renewing)
        meeting = Meeting(renewing, Talker(), CertificateOptions(), Talker(b"BOLT-M8 5\n"))
        self.teach(not meeting.server.heard, "After a renewal a scanner without a certificate gets in.")
