"""What OpenAPI documents is what happens: schemathesis asks everything, in several roles, with good and bad input."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from served import OWNER, TENANT, Served

EXAMPLES = 6
schemathesis.serializer.alias("application/jose", "text/plain")
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
WHO: dict[str, tuple[str, tuple[str, ...], dict[str, Any]]] = {
    "owner": (OWNER, (), {}),
    "officer": ("olga", ("officer",), {}),
    "administrator": ("adm", ("tenant_admin",), {"tenant": TENANT}),
}
REPEATABLE = settings(
    max_examples=EXAMPLES, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
)


@pytest.mark.parametrize("who", WHO)
def test_nothing_undocumented_is_answered(served: Served, who: str) -> None:
    """No 5xx, no status, content type or shape that the document does not have; seeded, a few examples each."""
    served.ready()
    sub, roles, more = WHO[who]
    headers = served.bearer(sub, *roles, **more)
    faults: list[str] = []
    schema = schemathesis.openapi.from_url(f"{served.url}/openapi.json")
    for result in schema.get_all_operations():
        operation: Any = result.ok()  # type: ignore[union-attr]  # ours is a schema without faults
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):

            @REPEATABLE
            @given(case=operation.as_strategy(mode))
            def ask(case: Any) -> None:
                case.call_and_validate(headers=headers, checks=CHECKS)

            try:
                ask()
            except Unsatisfiable:
                continue  # what takes nothing cannot be asked wrongly
            except (Exception, BaseExceptionGroup) as error:  # noqa: BLE001  # all faults are reported together
                faults.append(f"{operation.label}: {error}")
    assert faults == []


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
