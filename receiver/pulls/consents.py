"""What a person answered, exchanged for tokens: it is stored before it is sent, so that a killed run can be continued.

A code counts once (RFC 6749, 4.1.2). If a run was killed, the next sends the same code: if the provider has not got it,
it gives the tokens; if it has, they are lost, and by the second use it ends a consent without use (RFC 9700).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from portability.api.errors import BadInput
from portability.api.times import rfc3339
from portability.safe_http import SafeHttpClient
from receiver.faults import ProviderRefused
from receiver.pulls import asking, records
from receiver.pulls.asking import PullingProvider
from receiver.pulls.records import PullRecord


def take(
    folder: Path,
    identifier: str,
    client: SafeHttpClient,
    provider: Callable[[str], PullingProvider],
    answer: Mapping[str, str],
) -> PullRecord:
    """Exchange a person's answer for tokens, and store them; returns the record with them.

    Args:
        folder: with the records.
        identifier: of the request.
        client: with the limits of this deployment.
        provider: returns this side, by its id at the provider.
        answer: what came back with the person; empty: that of an earlier run, which was killed or got no answer.

    Raises: UnknownRequest; BadInput if there is no answer; what `asking.code_of` and `asking.exchanged` raise; OSError.
    """
    with records.alone(folder, identifier) as known:
        code = asking.code_of(known, answer) if answer else known.code
        if known.granted or known.ended_at or not code:
            raise BadInput(
                f"the request {identifier} waits for no answer that is known here",
                hint="give the address of the return, or its parts: --address URL, or --code, --state and --iss",
            )
        was_sent = code == known.code
        record = replace(known, code=code)
        if not was_sent:
            records.save(folder, record)
        with records.reserved(folder, identifier) as store:
            try:
                allowed = asking.exchanged(client, provider(record.client_id), record)
            except ProviderRefused as error:
                if not (was_sent and error.error == asking.INVALID_GRANT):
                    raise
                store(records.ended(record, rfc3339(datetime.now(UTC)) or ""))
                raise _lost() from None
            store(allowed)
            return allowed


def _lost() -> ProviderRefused:
    return ProviderRefused(
        "the code was sent before, and the answer with the tokens did not arrive here, or came too late",
        hint="ask the person again with `portability pull begin`; the provider ends a consent whose code comes twice",
    )
