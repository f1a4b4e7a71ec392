"""Figures in sentences of the pages are those of the code: limits and periods that no table has."""

from __future__ import annotations

import pytest
from repository import ROOT

from archive import recipients
from archive.verify import zip_entries
from archive.write import facts
from exporters.http import coverage as http_coverage
from exporters.http import listing
from portability.desk import colleagues, views
from portability.journal import batches
from portability.law.notice import entries
from portability.people import account_search
from portability.pulls import key_proofs, pushed_requests, tokens
from portability.requests import desk_queue, estimates
from portability.storage.retry import Retry
from portability.storage.s3 import bucket
from portability.transfers import provider_documents, receipts
from portability.trust import audit, signing
from receiver.binding import rows
from receiver.fetch import pace
from receiver.importer import report, write
from receiver.verify import unpack
from web import outbound_requests
from worker.close import tombstones
from worker.read import changed

DAY_SECONDS = 86_400
RETRY = Retry()
TIMES = {1: "once", 2: "twice"}
SENTENCES = (
    ("archive-format.md", f"at most {facts.COMPARED_MAX:,} keys and references"),
    ("audit.md", f"names up to {audit.FAULTS_MAX} faults"),
    ("coverage.md", f"reads at most {http_coverage.ITEMS_MOST} records of each dataset"),
    ("feeds.md", f"more than {tombstones.AGAIN_MAX:,} records lacked a value"),
    ("feeds.md", f"more than {changed.TOUCHED_MAX:,} records have changed"),
    ("high-availability.md", f"A sweep deletes them after {batches.KEPT_DAYS} days"),
    ("importing.md", f"batches of up to {write.BATCH_ROWS:,} or {write.BATCH_BYTES >> 20} MB"),
    ("importing.md", f"an id has more than {rows.ID_CHARACTERS} characters"),
    ("importing.md", f"the first {report.EXAMPLES} refused or quarantined"),
    ("maps-http.md", f"up to {listing.KEYS_MOST:,} keys are compared"),
    ("notice.md", f"at most {recipients.NAMES_MAX:,} names of at most {recipients.LENGTH_MAX} characters"),
    ("notice.md", f"A text has at most {entries.ANSWER_MAX} characters"),
    ("pages.md", f"within {colleagues.KEPT_SECONDS // DAY_SECONDS} days"),
    ("pages.md", f"Of an address of more than {account_search.ACCOUNTS_MAX} accounts"),
    ("pages.md", f"more than {colleagues.LISTED_MAX}, lists have"),
    ("pages.md", f"at most {views.VIEWS_MAX} for a person"),
    ("pages.md", f"from {desk_queue.SHORTEST} characters on"),
    (
        "pages.md",
        f"newest {estimates.RECENT} archives of the same profile and kind of subject (at least {estimates.FEWEST})",
    ),
    ("pull.md", f"`expires_in` ({pushed_requests.REQUEST_SECONDS} seconds)"),
    ("pull.md", f"A code counts once and for {pushed_requests.CODE_SECONDS} seconds"),
    ("pull.md", f"`iat` (within {key_proofs.PROOF_SECONDS:.0f} seconds)"),
    ("pull.md", f"An access token is valid for {tokens.ACCESS_SECONDS // 60} minutes"),
    ("pull.md", f"A refresh token is valid for {tokens.REFRESH_SECONDS // DAY_SECONDS} days"),
    ("pull.md", f"At most {outbound_requests.OF_ONE} requests of a provider, and {outbound_requests.OF_ALL} of all"),
    ("receiving.md", f"fewer than {pace.LEAST_BYTES_PER_SECOND} bytes per second"),
    ("receiving.md", f"number of entries (at most {zip_entries.ENTRIES:,} per volume)"),
    ("receiving.md", f"the limit is {unpack.RATIO} times its size (or {unpack.SMALL_BYTES >> 20} MiB)"),
    (
        "storage.md",
        f"up to {RETRY.patience_seconds / 60:.0f} minutes, waits doubling from {RETRY.first_wait_seconds} s",
    ),
    ("storage.md", f"to {RETRY.longest_wait_seconds:.0f} s, with jitter"),
    ("storage.md", f"any other request | {TIMES[bucket.BOTO_ATTEMPTS - 1]}, within a second"),
    ("transfers.md", f"A receipt is accepted for {receipts.ACCEPTED.days} days after the offer"),
    ("transfers.md", f"Clocks may differ by {signing.SKEW_SECONDS} seconds"),
    ("transfers.md", f"when it ends, at most {provider_documents.VALID_SECONDS_MAX // DAY_SECONDS} days later"),
)
"""Pages, and sentences with figures of the code."""


@pytest.mark.parametrize(("page", "sentence"), SENTENCES)
def test_figures_of_sentences_are_those_of_the_code(page: str, sentence: str) -> None:
    """A page gives a limit or a period as the code has it."""
    assert sentence in " ".join((ROOT / "docs" / page).read_text().split())
