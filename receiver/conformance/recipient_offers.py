"""The offers with which a recipient is tested, and what each of them must lead to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from receiver.conformance import bad_bags, bad_signatures, bad_zips, offer_faults, offers
from receiver.conformance.archive_faults import KitParty
from receiver.conformance.good_archives import GOOD, large
from receiver.conformance.kit_server import LiveOffer, SenderBehaviour
from receiver.conformance.offers import KitOffer, Seal

RECEIVING = "docs/receiving.md#what-it-does"
RESUMING = "docs/links.md#opening-claiming-resuming"
ADDRESSES = "docs/transfers.md#addresses-from-outside"
DOWNLOADED, REFUSED, STOPPED, RESTRICTED = "received", "refused", "stopped", "no request to another host"


@dataclass(frozen=True, slots=True)
class OfferPlan:
    """One offer of the run, before it is made."""

    name: str
    rule: str
    section: str
    expected: str
    """DOWNLOADED, REFUSED, STOPPED (nothing is downloaded) or RESTRICTED."""
    make: Callable[[KitMaker], LiveOffer]
    codes: Sequence[str] = ()
    """Of the refusal."""

    def describe(self) -> str:
        """Return what is expected, in words."""
        return f"refused with the code {' or '.join(self.codes)}" if self.expected == REFUSED else self.expected


@dataclass(frozen=True, slots=True)
class KitMaker:
    """Makes the offers of a run for one recipient."""

    party: KitParty
    audience: str
    seal: Seal
    run: str
    """Makes ids unique."""

    def of(self, name: str, volumes: Callable[[KitParty], Any], **more: Any) -> LiveOffer:  # noqa: ANN401  # fields of LiveOffer
        """Return a right offer of an archive."""
        party = replace(self.party, issuer=replace(self.party.issuer, export=f"kit{self.run}{_short(name)}"))
        made = volumes(party)
        offer = KitOffer(
            party, self.audience, f"trf_{self.run}{_short(name)}", made, [self.seal(one.data) for one in made]
        )
        return LiveOffer(offer, offers.right(offer), **more)


def _short(name: str) -> str:
    """Return a name as part of an id: letters and digits."""
    return "".join(letter for letter in name if letter.isalnum())


BEHAVIOURS: Mapping[str, tuple[str, str, str, SenderBehaviour]] = {
    "download-interrupted": (
        "an interrupted download resumes by Range and If-Range",
        RESUMING,
        DOWNLOADED,
        SenderBehaviour(interrupts=True),
    ),
    "download-without-ranges": (
        "a sender that answers with the whole volume is understood",
        RESUMING,
        DOWNLOADED,
        SenderBehaviour(interrupts=True, forgets_ranges=True),
    ),
    "statement-redirected": (
        "redirects to other hosts are not followed",
        ADDRESSES,
        RESTRICTED,
        SenderBehaviour(redirects_statement=True),
    ),
    "claim-at-another-host": (
        "a claim is on the origin of the link",
        RECEIVING,
        RESTRICTED,
        SenderBehaviour(claims_elsewhere=True),
    ),
    **{
        f"{name.partition('_')[0]}-at-another-host": (
            f"`{name}` is on the origin of the link",
            RECEIVING,
            RESTRICTED,
            SenderBehaviour(links_elsewhere=name),
        )
        for name in ("statement_url", "volumes_url", "receipt_url", "jwks_url")
    },
}


def plans() -> Iterator[OfferPlan]:
    """Yield all offers of a run: good archives, bad archives, bad offers, and a sender that behaves badly."""
    for name in GOOD:
        rule = "an archive without a fault is received"
        yield OfferPlan(f"good-{name}", rule, RECEIVING, DOWNLOADED, _good(name))
    for cases in (bad_zips.STRUCTURE, bad_zips.NAMED, bad_bags.FILES, bad_signatures.SIGNED, bad_bags.VOLUMES):
        for name, case in cases.items():
            make = _archive(name, case.make)
            yield OfferPlan(name, case.rule, case.section, REFUSED, make, case.receipts)
    for bad_offers in (offer_faults.STATEMENTS, offer_faults.LISTS, offer_faults.SENT):
        for name, bad in bad_offers.items():
            expected, codes = (REFUSED, [bad.code]) if bad.has_receipt else (STOPPED, [])
            yield OfferPlan(name, bad.rule, bad.section, expected, _offer(name, bad.make), codes)
    for name, (rule, section, expected, behaviour) in BEHAVIOURS.items():
        yield OfferPlan(name, rule, section, expected, _behaving(name, behaviour))


def _good(name: str) -> Callable[[KitMaker], LiveOffer]:
    return lambda maker: maker.of(f"good-{name}", lambda party: GOOD[name](party.issuer))


def _archive(name: str, make: Callable[[KitParty], Any]) -> Callable[[KitMaker], LiveOffer]:
    def made(maker: KitMaker) -> LiveOffer:
        live = maker.of(name, make)
        if any(not volume.data for volume in live.offer.volumes):
            # A list names no empty file: one byte is not a ZIP either.
            volumes = [volume.with_data(volume.data or b"\0") for volume in live.offer.volumes]
            offer = replace(live.offer, volumes=volumes, sent=[maker.seal(volume.data) for volume in volumes])
            return LiveOffer(offer, offers.right(offer))
        return live

    return made


def _offer(name: str, make: offer_faults.Make) -> Callable[[KitMaker], LiveOffer]:
    def made(maker: KitMaker) -> LiveOffer:
        live = maker.of(name, lambda party: GOOD["one-volume"](party.issuer))
        return LiveOffer(live.offer, make(live.offer))

    return made


def _behaving(name: str, behaviour: SenderBehaviour) -> Callable[[KitMaker], LiveOffer]:
    # What is on its way when the connection ends may be lost: the volume has to be larger than that.
    archive = large if behaviour.interrupts else GOOD["one-volume"]
    return lambda maker: maker.of(name, lambda party: archive(party.issuer), behaviour=behaviour)
