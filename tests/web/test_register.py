from __future__ import annotations

import httpx
import orjson
from repository import ROOT
from served import Served


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
