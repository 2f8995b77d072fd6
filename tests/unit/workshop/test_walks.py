"""What the walks through the gateway let a reader add to the demonstration's configuration is right."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from string import Template

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.rig.chapters import WORKSHOP

from lineside.assemble.config import load
from lineside.security.pki import Pki
from lineside.security.x509forms import Purpose

BLOCK = re.compile(r"^```toml\n(.*?)^```", re.DOTALL | re.MULTILINE)
WALKS = {
    page.parent.name: blocks
    for page in sorted(WORKSHOP.glob("*/README.md"))
    if (blocks := BLOCK.findall(page.read_text(encoding="utf-8").partition("\n## In the gateway\n")[2]))
}

KEYS = ("LINESIDE_DEMO_KEY", "LINESIDE_DEMO_SECRET", "FRAPPE_KEY", "FRAPPE_SECRET")


def test_there_are_walks() -> None:
    """Those of chapters 3 to 6 and 8 are found."""
    chapters = {
        "03_real_time_data_processing",
        "04_asynchronous_task_management",
        "05_custom_network_services",
        "06_enhanced_security_features",
        "08_protocol_implementations_for_legacy_systems",
    }
    assert chapters <= WALKS.keys()


@pytest.mark.parametrize("chapter", WALKS)
def test_what_a_walk_adds_is_right(chapter: str, tmp_path: Path) -> None:
    """The gateway of `lineside demo --keep` would start with it, or one that has nothing else."""
    scenario = files("lineside.demo").joinpath("scenario.toml").read_text(encoding="utf-8")
    scenario = Template(scenario).substitute(erp="http://127.0.0.1:8000", port=7001, web=8080)
    if "[tls." in "".join(WALKS[chapter]):
        # As the walk does, before.
        pki = Pki(tmp_path / "pki")
        pki.init()
        pki.issue("gateway", Purpose(hosts=("localhost",)))
    for name in ("ops", "acme"):
        key = Ed25519PrivateKey.generate().public_key()
        line = key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
        (tmp_path / f"{name}.pub").write_bytes(line + b"\n")
    path = tmp_path / "lineside.toml"
    # A walk with an ERP of its own stands alone.
    alone = any("[targets." in block for block in WALKS[chapter])
    path.write_text("\n".join([*([] if alone else [scenario]), *WALKS[chapter]]), encoding="utf-8")
    settings = load(path, dict.fromkeys(KEYS, "known"))
    # What comes in only to be looked at needs no route.
    assert [line for line in settings.warnings if "no route takes its events" not in line] == []
