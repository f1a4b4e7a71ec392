"""docs/roles.md's table, as the policy has it."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from portability.requests.policy import RIGHTS, STEP_UP, Action, ActorRole, Reach

SHOWN = {Reach.OWN: "own", Reach.TENANT: "tenant's", Reach.ANY: "any", None: ""}


def matrix_rows() -> Iterator[str]:
    """One row an action, one column a role."""
    yield "| action | step-up | " + " | ".join(f"`{role}`" for role in ActorRole) + " |"
    yield "|---|---|" + "---|" * len(ActorRole)
    for action in Action:
        cells = [SHOWN[RIGHTS[role].get(action)] for role in ActorRole]
        yield f"| `{action}` | {'yes' if action in STEP_UP else ''} | " + " | ".join(cells) + " |"


if __name__ == "__main__":
    sys.stdout.write("\n".join(matrix_rows()) + "\n")
