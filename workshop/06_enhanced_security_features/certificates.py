"""The workshop's certificates: ``python certificates.py FOLDER`` makes a CA, and all that it signs, anew.

They are for learning. The CA's own key is thrown away at the end: what is not kept cannot be stolen, and nobody
signs another device. A CA that goes on working keeps its key on a machine of its own, away from the network.
"""

import argparse
import os
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


class Authority:
    """A CA: whoever trusts its certificate believes what it signs."""

    def __init__(self, name):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.subject = named(name)
        may = x509.BasicConstraints(ca=True, path_length=0)  # signs devices and servers, and no further CA
        self.certificate = (
            unsigned(self.subject, self.subject, self.key.public_key(), days=365)
            .add_extension(may, critical=True)
            .add_extension(usage(key_cert_sign=True, crl_sign=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
            .sign(self.key, hashes.SHA256())
        )

    def server(self, *hosts, days=30):
        """Return certificate and key of a server that is known by these names and addresses."""
        return self.issue(hosts[0], ExtendedKeyUsageOID.SERVER_AUTH, days, [general(host) for host in hosts])

    def device(self, name, days=30):
        """Return certificate and key of a device."""
        return self.issue(name, ExtendedKeyUsageOID.CLIENT_AUTH, days, [x509.DNSName(name)])

    def issue(self, name, purpose, days, names):
        key = ec.generate_private_key(ec.SECP256R1())
        above = self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        certificate = (
            unsigned(named(name), self.subject, key.public_key(), days)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(usage(digital_signature=True), critical=True)
            # A device's certificate is no server's: no scanner can pass itself off as the gateway.
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(above), critical=False)
        )
        if (
            names
        ):  # always, but where pitfalls.py shows what happens without: the common name has not counted for long
            certificate = certificate.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return certificate.sign(self.key, hashes.SHA256()), key


def named(name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def general(host):
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def unsigned(subject, issuer, public_key, days):
    """Begin a certificate that is valid for so many days from now; for -1 it ended yesterday."""
    now = datetime.now(UTC)
    since = min(now, now + timedelta(days=days - 1)) - timedelta(minutes=5)  # clocks differ a little
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(public_key)
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(since).not_valid_after(now + timedelta(days=days))


def usage(**allowed):
    """Say what a key may be used for; everything that is not named, it may not."""
    known = "digital_signature content_commitment key_encipherment data_encipherment key_agreement"
    known += " key_cert_sign crl_sign encipher_only decipher_only"
    return x509.KeyUsage(**dict.fromkeys(known.split(), False) | allowed)


def pem(certificate):
    return certificate.public_bytes(Encoding.PEM)


def key_pem(key):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def write_private(path, content):
    """Write a file that nobody else may read, at no moment: its mode is set when it is made, not after."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("folder", type=Path)
    folder = options.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    ours, foreign = Authority("Workshop CA"), Authority("Somebody else's CA")
    made = {
        "server": ours.server("localhost", "127.0.0.1"),
        "scanner-7": ours.device("scanner-7"),
        "stolen": ours.device("scanner-9"),
        "expired": ours.device("scanner-3", days=-1),
        "foreign": foreign.device("scanner-7"),  # the right name, and the wrong signature
    }
    for name, authority in {"ca": ours, "foreign-ca": foreign}.items():
        (folder / f"{name}.pem").write_bytes(pem(authority.certificate))
        print(f"{name + '.pem':<16} {authority.certificate.subject.rfc4514_string()}")
    for name, (certificate, key) in made.items():
        (folder / f"{name}.pem").write_bytes(pem(certificate))
        write_private(folder / f"{name}.key", key_pem(key))
        subject, issuer = certificate.subject.rfc4514_string(), certificate.issuer.rfc4514_string()
        ends = f"{certificate.not_valid_after_utc:%Y-%m-%d}"
        print(f"{name + '.pem':<16} {subject:<13} of {issuer:<23} ends {ends}; its key is {name}.key")


if __name__ == "__main__":
    main()
