"""Demonstration: what the wifi reads and writes, and what is left of that behind mutual TLS."""

import socket
import ssl
from threading import Thread

from lineside.workshop.stage import Stage, perform

PLAIN = "../03_real_time_data_processing/example.py"


def play(stage: Stage) -> None:
    """Play the chapter "Enhanced Security Features"."""
    erp = stage.erp()
    certs = stage.folder / "certs"

    def booked():
        return [(entry["items"][0]["item_code"], entry.get("remarks")) for entry in entries(erp)]

    stage.step("Who is in the wifi reads along")
    stage.say("Chapter 3's server again, and between it and the scanner a relay that prints what it passes on.")
    plain = stage.example("--frappe", erp.url, file=PLAIN, environ=erp.environ)
    open_port = int(plain.expect("listening on").rpartition(":")[2])
    relay = Relay(open_port)
    gate = stage.scanner("scanner", relay.port)
    gate.send("BOLT-M8 5")
    gate.answer()
    stage.lines("relay", "\n".join(shown(*piece) for piece in relay.seen))
    stage.check("the relay could read the scan", ("->", b"BOLT-M8 5\r\n") in relay.seen)

    stage.step("Who is in the wifi writes, too")
    nobody = stage.scanner("a guest's phone", open_port)
    nobody.send("GLOVE-L 500")
    nobody.answer()
    stage.notice("Five hundred pairs of gloves that nobody has seen, and no word in the ERP about who said so.")
    stage.check("the gloves are booked, and nobody knows by whom", booked()[-1] == ("GLOVE-L", None))
    plain.stop()

    stage.step("Certificates")
    maker = stage.example("certs", file="certificates.py")
    maker.wait()
    stage.say("Each pem file may be seen by everybody. A key is the secret behind it, and only its owner reads it:")
    modes = {file.name: file.stat().st_mode & 0o777 for file in sorted(certs.glob("*.key"))}
    stage.lines("modes", "\n".join(f"{mode:04o} {name}" for name, mode in modes.items()))
    stage.check("keys are their owner's alone", set(modes.values()) == {0o600})
    own = ["--frappe", erp.url, "--ca", "certs/ca.pem", "--certificate", "certs/server.pem"]
    own += ["--key", "certs/server.key"]

    stage.step("The same server, with SSL4ServerEndpoint")
    server = stage.example(*own, "--revoked", "certs/stolen.pem", environ=erp.environ)
    port = int(server.expect("listening on").rpartition(":")[2])

    def scanner_7(to: int, *more: str) -> str:
        ours = ["--ca", "certs/ca.pem", "--certificate", "certs/scanner-7.pem", "--key", "certs/scanner-7.key"]
        client = stage.example("--port", str(to), *ours, *more, "BOLT-M8", "5", file="scanner.py")
        client.wait()
        return client.output

    relay = Relay(port)
    said = scanner_7(relay.port)
    stage.lines("relay", "\n".join(shown(*piece) for piece in relay.seen))
    stage.notice("The scan went through the relay, and this is all that the relay has of it.")
    stage.check("the scan is booked", "OK MAT-STE-" in said)
    stage.check("the relay could not read it", relay.seen and not any(b"BOLT" in data for _, data in relay.seen))
    stage.check("the document says who scanned", booked()[-1] == ("BOLT-M8", "scanned by scanner-7"))
    before = booked()

    stage.step("Who is not let in")
    with_openssl = stage.installed("openssl")
    connect = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", "certs/ca.pem"]
    connect += ["-servername", "localhost", "-verify_hostname", "localhost", "-verify_return_error"]
    refused = {
        "": "certificate required",
        "foreign": "unknown ca",
        "expired": "certificate expired",
        "stolen": "the certificate of scanner-9 is revoked",
    }
    for name, reason in refused.items():
        ours = ["-cert", f"certs/{name}.pem", "-key", f"certs/{name}.key"] if name else []
        if with_openssl:
            told = stage.run(
                *connect, *ours, "-quiet", "-verify_quiet", send="BOLT-M8 5\n" if name == "stolen" else ""
            )
        else:
            told = "\n".join(visit(port, certs, name))
            stage.lines("python", told)
        server.expect("refused")
        seen = told.lower().replace("_", " ")
        stage.check(f"{name or 'no'} certificate: refused, {reason}", reason in seen)
    stage.notice(
        "OpenSSL refuses the first three before our code hears of a line. The stolen scanner's certificate is "
        "signed by our CA and not expired. Only our own list knows better, so our own code has to look."
    )
    stage.check("none of the four booked anything", booked() == before)

    if with_openssl:
        stage.step("Old versions of TLS")
        ours = ["-cert", "certs/scanner-7.pem", "-key", "certs/scanner-7.key", "-brief"]
        good = stage.run(*connect, *ours)
        old = stage.run(*connect, *ours, "-tls1_1")
        server.expect("refused")
        stage.check("a scanner's certificate and TLS 1.3 are agreed on", "CONNECTION ESTABLISHED" in good)
        stage.check("TLS 1.1 is not", "CONNECTION ESTABLISHED" not in old)

    stage.step("When does a client learn that it is refused?")
    stage.say("One without a certificate again: it shakes hands, writes a scan, and reads the answer.")
    older = visit(port, certs, "", ssl.TLSVersion.TLSv1_2)
    stage.lines("TLS 1.2", "\n".join(older))
    newer = visit(port, certs, "", ssl.TLSVersion.TLSv1_3)
    stage.lines("TLS 1.3", "\n".join(newer))
    stage.notice(
        "With TLS 1.3 the client's handshake is done before the server has seen its certificate, or that there is "
        "none. Even writing works. The refusal comes with the first read: only an answer tells that a scan counts."
    )
    stage.check("TLS 1.2 refuses in the handshake", older[0].startswith("the handshake fails"))
    stage.check(
        "TLS 1.3 refuses at the first read",
        newer[:2] == ["the handshake is done", "the scan is written"]
        and newer[2].startswith("the first read fails"),
    )
    stage.check("nothing was booked", booked() == before)

    stage.step("The scanner checks the server")
    wrong = scanner_7(port, "--name", "erp.example")
    stage.check("a server with another name hears no scan", "not for this name" in wrong and booked() == before)
    stage.say("What clients without these checks do, shown with servers in memory:")
    pitfalls = stage.example(file="pitfalls.py")
    pitfalls.wait()
    told = dict(line.split(" tells its API key to ") for line in pitfalls.output.splitlines() if " key to " in line)
    stage.check("unchecked, the impostor gets the key", "an impostor" in told["unchecked   "])
    stage.check("checked, the ERP alone gets it", told["checked     "] == "the ERP")
    stage.notice(
        "The last server's certificate is of our CA and names no host. Twisted's check cannot compare, says so in the "
        "log, and goes on. So an own CA has to write the name into each certificate; where the CA is somebody "
        "else's, look once more when the handshake is done."
    )
    stage.check("looked at again, whoever is not named gets nothing", "certain tells it nothing" in pitfalls.output)

    stage.step("An old scanner that speaks no TLS")
    old_scanner = stage.scanner("old scanner", port)
    old_scanner.send("BOLT-M8 5")
    cut = old_scanner.answer()
    stage.check("what is not TLS is cut off, and not booked", cut == "" and booked() == before)


class Relay:
    """Somebody in between: passes on what one scanner and a server say to each other, and keeps every byte of it."""

    def __init__(self, server):
        self.server, self.seen = server, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with self.listener:
            scanner, _address = self.listener.accept()
        server = socket.create_connection(("127.0.0.1", self.server))
        Thread(target=self.pass_on, args=("<-", server, scanner), daemon=True).start()
        self.pass_on("->", scanner, server)

    def pass_on(self, way, source, target):
        with source:
            try:
                while data := source.recv(65536):
                    self.seen.append((way, data))
                    target.sendall(data)
                target.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # the other side is gone


def shown(way, data):
    """Return what the relay saw for the eye: text as it is, everything else as a dot."""
    text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in data)
    return f"{way} {text[:60]}{f' … {len(data)} bytes' if len(data) > 60 else ''}"


def entries(erp):
    """Return the Stock Entries with their rows, the oldest first."""
    return [
        erp.ask("GET", f"/api/resource/Stock%20Entry/{entry['name']}") for entry in erp.documents("Stock Entry")
    ]


def visit(port, certs, name, version=None):
    """Scan as Python's own TLS client, which checks the server; return what it sees, in order."""
    context = ssl.create_default_context(cafile=certs / "ca.pem")
    if version:
        context.minimum_version = context.maximum_version = version
    if name:
        context.load_cert_chain(certs / f"{name}.pem", certs / f"{name}.key")
    seen, doing = [], "the handshake"
    with socket.create_connection(("127.0.0.1", port), timeout=15) as plain:
        try:
            with context.wrap_socket(plain, server_hostname="localhost") as secure:
                seen.append("the handshake is done")
                if version or name == "stolen":
                    secure.sendall(b"BOLT-M8 5\n")
                    seen.append("the scan is written")
                doing = "the first read"
                seen.append(secure.recv(100).decode())
        except OSError as error:
            seen.append(f"{doing} fails: {getattr(error, 'reason', None) or error.strerror}")
    return seen


if __name__ == "__main__":
    perform(play)
