from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import orjson
import pytest
from repository import ROOT
from served import Served, serving
from workers import own_notice

from portability.law import notice


@pytest.fixture
def served(tmp_path: Path, redis_server: str) -> Iterator[Served]:
    """With the notice register that comes with the software, but for its controller."""
    version = notice.load().version
    with serving(tmp_path, redis_server, notice_dir=own_notice(tmp_path / "own", version)) as server:
        yield server


def test_the_register_is_public(served: Served) -> None:
    """No login: a company reads it before it is a customer; asked for again, it costs nothing if it is the same."""
    answer = httpx.get(f"{served.url}/v1/register")
    assert answer.status_code == httpx.codes.OK
    assert answer.headers["cache-control"].startswith("public")
    assert answer.json() == orjson.loads((ROOT / "docs" / "register.json").read_bytes())
    again = httpx.get(f"{served.url}/v1/register", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == httpx.codes.NOT_MODIFIED
    document = httpx.get(f"{served.url}/openapi.json").json()
    assert "security" not in document["paths"]["/v1/register"]["get"]


def test_the_laws_with_deadlines_are_public(served: Served) -> None:
    """A person reads, before they ask, which law sets the due date and where its figure comes from."""
    answer = httpx.get(f"{served.url}/v1/regimes")
    found = {law["name"]: law for law in answer.json()["regimes"]}
    assert list(found) == ["gdpr", "uu_pdp", "data_act"]
    assert (found["gdpr"]["period"], found["gdpr"]["figures"]["access"]) == ({"months": 1}, "law")
    assert found["uu_pdp"]["period"] == {"hours": 72}
