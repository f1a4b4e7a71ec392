"""A whole stack of real processes sends a transfer to the receiver in Node, which shares no code with it."""

from __future__ import annotations

import json
from pathlib import Path

import node_receiver
import pyrage
import pytest
from servers.process import free_ports
from visits import standing
from workers import READY, until

PARTS = "account,marketing,devices"


@pytest.mark.system
@pytest.mark.requirement("R39")
def test_the_receiver_in_node_takes_a_transfer_of_a_whole_stack(tmp_path: Path) -> None:
    """From the challenge to the receipt: the sender has the proof, and the receiver each record as NDJSON."""
    identity, (port, own_port) = pyrage.x25519.Identity.generate(), free_ports(2)
    url, base = f"http://127.0.0.1:{port}", f"http://localhost:{own_port}"
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with standing(tmp_path / "a", BASE_URL=base) as (here, issuer):
        user = here.json("seed", "--recording-seconds", "1-2")["examples"]["user"]
        names = (
            "--name",
            "Node Care",
            "--domain",
            "localhost",
            "--country",
            "DE",
            "--age-key",
            str(identity.to_public()),
        )
        places = ("--jwks-url", f"{url}/.well-known/jwks.json", "--webhook-url", f"{url}/hooks/portability")
        secret = here.json("recipients", "add", *names, *places)["webhook_secret"]
        with node_receiver.receiving(tmp_path / "b", issuer, secret, identity=identity, port=port) as receiver:
            assert here.json("recipients", "prove", "localhost")["proven_at"]
            asked = ("--profile", "portability", "--subject", f"user:{user}", "--include", PARTS, "--wait")
            export = here.json("request", *asked, expect=READY)["id"]
            consent = ("--subject", f"user:{user}", "--to", "localhost", "--include", PARTS, "--evidence", "T-17")
            here.json("authorisations", "add", *consent)
            transfer = here.json("transfer", export, "--to", "localhost")["id"]
            until(
                lambda: here.json("transfers", "show", transfer)["state"] == "delivered", "the sender has the receipt"
            )

            (done,) = (receiver.folder / "in").glob("*/done.json")
            counted = json.loads(done.read_text())["records"]
            written = {
                path.stem: len(path.read_text().splitlines()) for path in (done.parent / "records").glob("*.ndjson")
            }
            datasets = here.json("show", export)["datasets"]
            (profile,) = (done.parent / "records" / "account.profile.ndjson").read_text().splitlines()

    stated = {f"{one['exporter']}.{one['dataset']}": one["records"] for one in datasets if one["records"]}
    assert counted == written
    assert {name: number for name, number in counted.items() if number} == {
        name: number for name, number in stated.items() if name in counted
    }
    assert json.loads(profile)["id"] == user
