"""What OpenAPI documents is what happens: schemathesis asks everything, in several roles, with good and bad input."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import product
from traceback import format_exception
from typing import Any

import httpx
import pytest
import schemathesis
import servers
from factories import MadeUpExporter, things
from hypothesis import HealthCheck, given, note, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from sending import sender, sent, shown
from served import OWNER, TENANT, Served
from transferring import Provider

EXAMPLES = 3
schemathesis.serializer.alias("application/jose", "text/plain")
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
WHO: dict[str, tuple[str, tuple[str, ...], dict[str, Any]]] = {
    "owner": (OWNER, (), {}),
    "officer": ("olga", ("officer",), {}),
    "administrator": ("adm", ("tenant_admin",), {"tenant": TENANT}),
    "staff": ("sam", ("staff",), {}),
    "auditor": ("ann", ("auditor",), {}),
}
REPEATABLE = settings(
    max_examples=EXAMPLES, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
)


@pytest.fixture(scope="module")
def served(
    redis_server: str, pg_server: servers.Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """On PostgreSQL, which takes fewer values than SQLite."""
    name = pg_server.create_database()
    folder, strict = tmp_path_factory.mktemp("served"), {"exports_per_month": 1000}
    with sender(folder, redis_server, MadeUpExporter(things(5)), database_url=pg_server.url(name), **strict) as server:
        yield server
        server.world.engine.dispose()
    pg_server.drop_database(name)


def _states(
    operation: Any, mode: GenerationMode, known: Mapping[str, str], visitors: Mapping[str, dict[str, str]]
) -> dict[str, set[int]]:
    """Ask an operation as each visitor, with known values in its path, and return the statuses of the answers."""
    states: dict[str, set[int]] = defaultdict(set)

    @REPEATABLE
    @given(case=operation.as_strategy(mode))
    def ask(case: Any) -> None:
        for name in (case.path_parameters or {}).keys() & known.keys():
            case.path_parameters[name] = known[name]
        for who, headers in visitors.items():
            note(f"as {who}")
            states[who].add(case.call_and_validate(headers=headers, checks=CHECKS).status_code)

    ask()
    return states


@pytest.mark.timeout(600)
def test_nothing_undocumented_is_answered(served: Served, other: Provider) -> None:
    """No 5xx, no status, content type or shape that the document does not have; seeded, a few examples each.

    Each operation is asked in every role, and with ids that exist, too: then its answer is not only 404.
    """
    export_id, transfer_id = sent(served, other)
    link_id, consent = served.link(export_id).id, shown(served, transfer_id)["authorisation"]
    real = {"export_id": export_id, "transfer_id": transfer_id, "link_id": link_id}
    real |= {"authorisation_id": consent, "recipient_id": other.recipient}
    visitors = {who: served.bearer(sub, *roles, **more) for who, (sub, roles, more) in WHO.items()}
    faults: list[str] = []
    found: dict[str, set[int]] = defaultdict(set)
    schema = schemathesis.openapi.from_url(f"{served.url}/openapi.json")
    for result in schema.get_all_operations():
        operation: Any = result.ok()  # type: ignore[union-attr]  # ours is a schema without faults
        has_ids = real.keys() & {*re.findall(r"{(\w+)}", operation.path)}
        for mode, known in product((GenerationMode.POSITIVE, GenerationMode.NEGATIVE), [{}, real] if has_ids else [{}]):
            try:
                found[operation.label] |= _states(operation, mode, known, visitors)["owner"]
            except Unsatisfiable:
                continue  # what takes nothing cannot be asked wrongly
            except (Exception, BaseExceptionGroup) as error:  # noqa: BLE001  # all faults are reported together
                # With the errors in a group: of a fault that did not come again, Hypothesis says only that.
                faults.append(f"{operation.label}: {''.join(format_exception(error))}")
    if faults:
        pytest.fail("\n".join(faults), pytrace=False)  # `assert` would cut the text
    assert {label for label, states in found.items() if states == {404}} == set()


def test_the_document_names_no_secret_and_every_problem(served: Served) -> None:
    """Bodies refuse unknown fields, and each operation of the API documents its problems."""
    document = httpx.get(f"{served.url}/openapi.json").json()
    assert document["components"]["schemas"]["ExportRequestBody"]["additionalProperties"] is False
    for path, operations in document["paths"].items():
        for operation in operations.values():
            if path.startswith("/v1/") and "public" not in operation["tags"]:
                assert {"401", "403", "404", "429", "503"} <= operation["responses"].keys()
                problem = operation["responses"]["404"]["content"]["application/problem+json"]["schema"]
                assert problem["$ref"].endswith("/Problem")
