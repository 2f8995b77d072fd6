"""Demonstration: an operator and an old machine by SSH, and scanners that ask DNS where to go."""

import shutil
import socket
import struct
import subprocess

from twisted.names import dns

from lineside.workshop.stage import Stage, perform

CONFIG = """\
Host {name}
  HostName 127.0.0.1
  Port {port}
  User {user}
  IdentityFile {key}
Host *
  IdentitiesOnly yes
  BatchMode yes
  StrictHostKeyChecking yes
  UserKnownHostsFile known_hosts
"""
COUNT = "item,quantity\nBOLT-M8,118\nNUT-M8,81\n00123,40\nBOLT-M9,7\nGLOVE-L,many\n"


def play(stage: Stage) -> None:
    """Play the chapter "Protocol Implementations for Legacy Systems"."""
    erp = stage.erp()
    if all(map(shutil.which, ["ssh", "sftp", "ssh-keygen"])):
        operator(stage, erp)
        file_drop(stage, erp)
    else:
        stage.say(
            "(OpenSSH's client is not on this machine, so the steps by SSH are left out. On Debian it is in the package openssh-client.)"
        )
    names(stage, erp)


def operator(stage, erp):
    stage.step("The operator's server: keys, and nothing but keys")
    for name in "operator", "stranger":
        stage.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", name)
    example = stage.example("--frappe", erp.url, "--authorized-keys", "operator.pub", environ=erp.environ)
    host_key = example.expect("host key: ").partition(": ")[2]
    port = example.expect("listening on").rpartition(":")[2]
    mode = (stage.folder / "host_key").stat().st_mode & 0o777
    stage.check("the host key was made, and is readable by its owner alone", mode == 0o600)

    stage.step("Whom do you speak to?")
    write_config(stage, "ops", port, "ops", "operator")
    unknown = stage.run("ssh", "-F", "ops.conf", "ops", "stock", "BOLT-M8")
    stage.notice(
        "ssh does not know this server, so it says nothing to it. Now the host key is copied from where it can be "
        "trusted, the server's own terminal, into known_hosts. A 'yes' to an unseen key would trust whoever answered."
    )
    know(stage, port, host_key)
    stage.check("a server that is not known is not spoken to", "Host key verification failed" in unknown)
    answer = stage.run("ssh", "-F", "ops.conf", "ops", "stock", "BOLT-M8")
    stage.check("the operator knows the stock without the ERP's login", answer == "BOLT-M8 120\n")

    stage.step("A shell that is not a shell")
    items = [{"item_code": "BOLT-M8", "qty": 24, "delivery_date": "2026-12-01"}]
    erp.insert(
        "Sales Order",
        {"customer": "Bicycle Works", "company": "Stand-in Works", "delivery_date": "2026-12-01", "items": items},
    )
    typed = "help\nstock 00123\norders\nstock NUT-M8; rm -rf /\n$(reboot)\nexit\n"
    told = stage.run("ssh", "-T", "-F", "ops.conf", "ops", send=typed).splitlines()
    stage.notice("Five lines were typed, and each got its answer in its order. No line ever reaches /bin/sh.")
    stage.check("the code 00123 kept its zeros, and the order is there", [told[1], told[2][-13:]] == ASKED)
    stage.check("what is no command is refused, and the shell goes on", told[3:] == [REFUSED, REFUSED])

    stage.step("Who may not come in, and what nobody may do")
    config = (stage.folder / "ops.conf").read_text()
    (stage.folder / "stranger.conf").write_text(config.replace("IdentityFile operator", "IdentityFile stranger"))
    stranger = stage.run("ssh", "-F", "stranger.conf", "ops", "help")
    stage.check("a key that is not on the list is refused; a password is not even asked for", KEYS in stranger)
    tunnel = stage.run(
        "ssh", "-F", "ops.conf", "-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:80", "ops", "help"
    )
    stage.check("no port is forwarded", "remote port forwarding failed" in tunnel)
    files = stage.run("sftp", "-F", "ops.conf", "ops")
    stage.check("an operator has no files", "subsystem request failed" in files)


ASKED = ["00123 40", "Bicycle Works"]
REFUSED = "no such command; help tells what there is"
KEYS = "Permission denied (publickey)"


def file_drop(stage, erp):
    stage.step("The old machine: a file drop")
    inbox = stage.folder / "inbox"
    inbox.mkdir()
    stage.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "machine", "-f", "machine")
    keys = ["--authorized-keys", "machine.pub", "--host-key", "files_host_key"]
    server = stage.example(*keys, "--inbox", "inbox", file="example_files.py")
    intake = stage.example(
        "--frappe", erp.url, "--inbox", "inbox", "--every", "0.2", environ=erp.environ, file="example_counts.py"
    )
    host_key = server.expect("host key: ").partition(": ")[2]
    port = server.expect("listening on").rpartition(":")[2]
    know(stage, port, host_key)
    write_config(stage, "drop", port, "stocktaking", "machine")
    intake.expect("looking into")

    stage.step("A connection is lost in the middle of a file")
    cut_off(stage, "drop", "/inbox/count-2026-11-21.csv", COUNT[:24].encode())
    asked = stage.run("sftp", "-F", "drop.conf", "drop", send="get /inbox/count-2026-11-21.csv\n")
    stage.notice(
        f"The machine had sent {COUNT[:24]!r} when the line went dead. Read now, the eleven bolts of that last line "
        "would take 109 out of the books."
    )
    stage.check(
        "of half a file there is nothing, not for anybody", "not found" in asked and not any(inbox.iterdir())
    )
    stage.check("nothing was booked", not erp.documents("Stock Entry"))

    stage.step("The whole file")
    (stage.folder / "count-2026-11-22.csv").write_text(COUNT)
    stage.run("sftp", "-F", "drop.conf", "drop", send="put count-2026-11-22.csv /inbox\n")
    intake.expect("count-2026-11-22.csv: taken in")
    stage.run("sftp", "-F", "drop.conf", "drop", send="get /inbox/count-2026-11-22.result.csv result.csv\n")
    result = stage.run("cat", "result.csv")
    entries = [entry["name"] for entry in erp.documents("Stock Entry")]
    stage.check(
        "what differed became a Stock Entry each", all(name in result for name in entries) and len(entries) == 2
    )
    stage.check("the books say what was counted", (in_stock(erp, "BOLT-M8"), in_stock(erp, "NUT-M8")) == (118, 81))
    stage.check("a bad row is refused alone, with its reason", result.count("refused: ") == 2)

    stage.step("A name that wants out of the inbox")
    paths = "put count-2026-11-22.csv ../../etc/cron.d/job\nput count-2026-11-22.csv /inbox/../stolen.csv\n"
    stage.run("sftp", "-F", "drop.conf", "drop", send=paths)
    stage.check("it leads nowhere", not (stage.folder / "stolen.csv").exists())


def names(stage, erp):
    stage.step("Names: two gateways, and a server that knows which of them answers")
    scanners = "../03_real_time_data_processing/example.py"
    stage.say("(The second gateway is chapter 3's example. The first one is a port that this script holds open.)")
    held = socket.create_server(("127.0.0.1", 0))
    gateway = stage.example("--frappe", erp.url, environ=erp.environ, file=scanners)
    ports = [str(held.getsockname()[1]), gateway.expect("listening on").rpartition(":")[2]]
    both = [word for port in ports for word in ("--gateway", f"127.0.0.1:{port}")]
    server = stage.example(*both, "--every", "0.2", file="example_dns.py")
    port = int(server.expect("listening on").rpartition(":")[2])
    if stage.installed("dig"):
        stage.run("dig", "@127.0.0.1", "-p", str(port), "+noall", "+answer", "SRV", SCANNERS)
    first = gateway_of(ask(stage, port, SCANNERS, dns.SRV))
    stage.check("both are offered, and the first one is the first choice", first == ports[0])

    stage.step("The first gateway fails")
    held.close()
    server.expect("does not answer")
    second = gateway_of(ask(stage, port, SCANNERS, dns.SRV))
    scanner = stage.scanner("scanner", int(second))
    scanner.send("BOLT-M8 5")
    stage.notice("No scanner was touched. The answer may be kept for 5 seconds, so after 5 seconds they all know.")
    stage.check("the same question now leads to the second gateway", second == ports[1])
    stage.check("a scanner that asks again can scan", scanner.answer().startswith("OK "))

    stage.step("What there is not")
    missing = ask(stage, port, "gateway9.plant.test", dns.A)
    foreign = ask(stage, port, "example.com", dns.A)
    by_tcp = ask(stage, port, SCANNERS, dns.SRV, tcp=True)
    stage.notice(
        "For names of others it says neither yes nor no: a server that asked around for anybody is a weapon."
    )
    stage.check("an unknown name of the plant does not exist: NXDOMAIN", missing.rCode == dns.ENAME)
    stage.check("a name of others is refused", foreign.rCode == dns.EREFUSED and not foreign.recAv)
    stage.check("TCP tells the same", gateway_of(by_tcp) == second)


SCANNERS = "_scanner._tcp.plant.test"


def write_config(stage, name, port, user, key):
    text = CONFIG.format(name=name, port=port, user=user, key=key)
    (stage.folder / f"{name}.conf").write_text(text)
    stage.lines(f"{name}.conf", text.rstrip())


def know(stage, port, host_key):
    """Pin a server's host key."""
    with (stage.folder / "known_hosts").open("a") as known:
        known.write(f"[127.0.0.1]:{port} {host_key}\n")


def in_stock(erp, item):
    return erp.documents("Bin", item_code=item)[0]["actual_qty"]


def cut_off(stage, host, path, data):
    """Begin an upload, and cut the connection before its end; returns once the server has taken the bytes."""
    stage.say("(The machine's part is played with ssh -s sftp, so that the line can be cut at a certain byte.)")
    machine = subprocess.Popen(
        ["ssh", "-F", f"{host}.conf", "-s", host, "sftp"],
        cwd=stage.folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    exchange(machine, 1, struct.pack("!L", 3))  # INIT, version 3
    text = path.encode()
    flags = struct.pack("!LL", 0x1A, 0)  # write, create, truncate; no attributes
    opened = exchange(machine, 3, struct.pack("!LL", 1, len(text)) + text + flags)
    handle = opened[5:]
    exchange(machine, 6, struct.pack("!L", 2) + handle + struct.pack("!QL", 0, len(data)) + data)
    stage.lines("machine", f"opens   {path}\nwrites  {data.decode()!r}\nis cut off")
    machine.kill()
    machine.communicate()


def exchange(machine, kind, body):
    """Send an SFTP packet, and return the body of its answer, with its kind in front."""
    machine.stdin.write(struct.pack("!LB", len(body) + 1, kind) + body)
    machine.stdin.flush()
    (size,) = struct.unpack("!L", machine.stdout.read(4))
    return machine.stdout.read(size)


def ask(stage, port, name, kind, *, tcp=False):
    """Ask a DNS server as a scanner does, and show what it says."""
    question = dns.Message(id=1, recDes=1)
    question.addQuery(name, kind)
    data = question.toStr()
    with socket.socket(type=socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM) as client:
        client.settimeout(10)
        client.connect(("127.0.0.1", port))
        client.sendall(struct.pack("!H", len(data)) + data if tcp else data)
        told = client.recv(4096)[
            2 if tcp else 0 :
        ]  # by TCP its length comes first; so short an answer is one piece
    answer = dns.Message()
    answer.fromStr(told)
    said = [f"{dns.QUERY_TYPES[kind]} {name}?  {CODES[answer.rCode]}"]
    for record in [*answer.answers, *answer.additional]:
        if record.type == dns.SRV:
            srv = record.payload
            said.append(f"{record.name}  {record.ttl} s  SRV {srv.priority} {srv.port} {srv.target}")
        else:
            said.append(f"{record.name}  {record.ttl} s  A {record.payload.dottedQuad()}")
    stage.lines("TCP" if tcp else "UDP", "\n".join(said))
    return answer


CODES = {dns.OK: "NOERROR", dns.ENAME: "NXDOMAIN", dns.EREFUSED: "REFUSED"}


def gateway_of(answer):
    """Return the port of the gateway that an answer prefers."""
    return str(min((record.payload for record in answer.answers), key=lambda srv: srv.priority).port)


if __name__ == "__main__":
    perform(play)
