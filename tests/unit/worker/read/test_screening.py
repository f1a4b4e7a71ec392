"""The scan's parts: numbers, keys, marks, the prefilter and files of text."""

from __future__ import annotations

from collections import Counter
from typing import Any

import orjson
import pytest
from factories import dataset

from bench.scan_corpus import EACH, KNOWN_MISSES, Case, cases
from portability.api import JSON, Batch, Field, FieldType, File, Gap, Provenance, Role
from portability.law.scan_rules import FindingKind, ScanAction, ScanBlocked, built_in
from worker.read.screening import Screen, numbers, prefilter
from worker.read.screening.values import Counts

CARD, AMEX, NIK = "4111111111111111", "378282246310005", "3578080102030001"
ANYTHING = dataset(
    "things",
    Role.CONTROLLER,
    *(Field(f"of_{kind}", kind, "A field.", Provenance.PROVIDED) for kind in FieldType),
)
LABELLED = list(cases())
REPORTED = dict.fromkeys(FindingKind, ScanAction.REPORT)
BLOCKED = dict.fromkeys(FindingKind, ScanAction.BLOCK)


@pytest.fixture(scope="module")
def screen() -> Screen:
    return Screen()


def masked(screen: Screen, **values: JSON) -> dict[str, JSON]:
    record = {"id": "a", **values}
    return dict(screen.records(ANYTHING, [record], Counts())[0])


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (f"kartu {CARD}.", "kartu [masked:card-number:1111]."),
        ("4111 1111 1111 1111, 4111-1111-1111-1111", "[masked:card-number:1111], [masked:card-number:1111]"),
        ("4111.1111.1111.1111 4111, 1111, 1111, 1111", "[masked:card-number:1111] [masked:card-number:1111]"),
        ("4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1!", "[masked:card-number:1111]!"),
        ("no.4111111111111111", "no.[masked:card-number:1111]"),
        (f"{CARD},{AMEX},", "[masked:card-number:1111],[masked:card-number:0005],"),
        ("１2. ４１１１１１１１１１１１１１１１", "１2. [masked:card-number:1111]"),  # noqa: RUF001  # full-width digits
        (f"+6281234567890 {CARD}", "+6281234567890 [masked:card-number:1111]"),
        (f"NIK saya {NIK} ya", "NIK saya [masked:nik] ya"),
        ("357808 010203 0001", "[masked:nik]"),
        ("35.78.08.010203.0001", "[masked:nik]"),
    ],
)
def test_numbers_in_text_become_marks(screen: Screen, text: str, wanted: str) -> None:
    """However they are grouped; the text around them stays, and of a card its last four digits."""
    assert masked(screen, text=text)["text"] == wanted


@pytest.mark.parametrize(
    "text",
    [
        f"+{CARD[:15]}",
        f"msg_{CARD}",
        f"a1b2-{CARD[:4]}b{CARD}",
        "550e8400-e29b-41d4-a716-446655440000",
        f"0.{CARD}",
        "4538625296210.9",
        "4.111.111.111.111",
        "4111111111111112",
        "3578083202030001",
        "9978080102030001",
        "3578080102030000",
    ],
)
def test_near_misses_stay(screen: Screen, text: str) -> None:
    """Phones, names, fractions, amounts; a wrong check digit, day, province or serial number."""
    assert masked(screen, text=text)["text"] == text


def test_a_mark_stands_where_text_may(screen: Screen) -> None:
    """In nested values and in their names; a field of numbers or times has null, and nothing else is touched."""
    nested: JSON = {"list": [1, int(CARD), float(CARD), True, None], f"of {CARD}": {"deep": f"x {CARD}"}, "n": 1.5}
    found = masked(screen, of_integer=int(CARD), of_number=float(CARD), of_decimal=CARD, of_date=CARD, of_object=nested)

    assert {found[f"of_{name}"] for name in ("integer", "number", "decimal", "date")} == {None}
    assert found["of_object"] == {
        "list": [1, "[masked:card-number:1111]", "[masked:card-number:1111]", True, None],
        "of [masked:card-number:1111]": {"deep": "x [masked:card-number:1111]"},
        "n": 1.5,
    }
    assert found["id"] == "a"


@pytest.mark.parametrize(
    "url",
    [
        f"https://s3.example/b/k.wav?X-Amz-Expires=9&X-Amz-Signature={'0a' * 32}&X-Amz-SignedHeaders=host",
        f"https://storage.example/b/k?X-Goog-Signature={'0a' * 128}",
        f"https://a.blob.example/c/k?sv=2026&se=2026-12-01T00%3A00%3A00Z&sig={'Ab%2F' * 10}%3D",
    ],
)
def test_addresses_that_open_files_are_masked_whole(screen: Screen, url: str) -> None:
    """S3, Google and Azure; what stands around the address stays."""
    assert masked(screen, text=f"see <{url}> now")["text"] == "see <[masked:signed-url]> now"


def test_what_is_no_json_is_left_to_the_formats(screen: Screen) -> None:
    """Values that no format accepts, and endless nesting, must not fail here."""
    deep: JSON = CARD
    for _ in range(5000):
        deep = [deep]
    counts = Counts()
    odd: Any = {"id": "a", "text": {1, 2}, "of_integer": 10**30, "of_object": deep, "of_number": float("nan")}
    found = screen.records(ANYTHING, [odd, {"id": "b", "text": CARD}], counts)

    assert found[0]["text"] is odd["text"]
    assert (found[0]["of_integer"], found[1]["text"]) == (10**30, "[masked:card-number:1111]")
    assert CARD not in repr(found[0]["of_object"])


def test_names_that_become_alike_lose_no_value(screen: Screen) -> None:
    """Two keys of an object may be masked to the same text."""
    found = masked(screen, of_object={CARD: 1, "4111-1111-1111-1111": 2})["of_object"]

    assert found == {"[masked:card-number:1111]": 1, "[masked:card-number:1111] (2)": 2}


def test_values_are_counted_by_rule_and_action() -> None:
    """Masked, reported and blocked values separately; blocking names rules and counts, and not the value."""
    record = {"id": "a", "text": f"{CARD} {CARD} {NIK}"}
    actions = {**REPORTED, FindingKind.CARD: ScanAction.MASK}
    counts = Counts()
    Screen(actions).records(ANYTHING, [record], counts)

    assert (counts.masked, counts.reported) == (Counter({"card-number": 2}), Counter(nik=1))
    with pytest.raises(ScanBlocked) as blocked:
        Screen(BLOCKED).records(ANYTHING, [record], Counts())
    assert "things" in str(blocked.value)
    assert "card-number (2), nik (1)" in str(blocked.value)
    assert CARD not in str(blocked.value)


def test_what_is_only_reported_stays() -> None:
    """Then there is nothing to encode again."""
    counts = Counts()
    records = [{"id": "a", "text": CARD}]

    assert Screen(REPORTED).records(ANYTHING, records, counts) is records
    assert counts.reported == Counter({"card-number": 1})


def test_canaries_of_a_deployment_are_known() -> None:
    """Beside the built-in beginning, those of the setting."""
    screen = Screen({**REPORTED, FindingKind.CANARY: ScanAction.MASK}, ["SEEDED-", "zq"])

    assert masked(screen, text="a SEEDED-123 zq9 portability-canary-x_y.")["text"] == (
        "a [masked:canary] [masked:canary] [masked:canary]."
    )


def test_names_of_files_and_gaps_are_looked_through(screen: Screen) -> None:
    """They are in the archive like any text; names that become equal get different numbers."""
    files = tuple(
        File(f"{number}.wav", "audio/wav", 0, lambda _offset: iter(())) for number in (CARD, f"x {CARD}", CARD)
    )
    counts = Counts()
    found = screen.named(Batch([], "1", files, (Gap(f"calls/{NIK}", "missing", retryable=True),)), counts)

    assert [file.name for file in found.files] == [
        "[masked:card-number:1111].wav",
        "x [masked:card-number:1111].wav",
        "[masked:card-number:1111]-2.wav",
    ]
    assert found.gaps == (Gap("calls/[masked:nik]", "missing", retryable=True),)
    assert counts.masked == Counter({"card-number": 3, "nik": 1})
    (long,) = screen.named(Batch([], "1", (), (Gap("x", f"{CARD} " * 3),)), Counts()).gaps
    assert len(long.reason) == 64


def test_a_record_names_its_file_after_the_marks(screen: Screen) -> None:
    """Two names become one by their marks: the second file is named apart, and so is it in its record."""
    names = [f"{CARD}.wav", "4111 1111 1111 1111.wav", "plain.wav"]
    files = tuple(File(name, "audio/wav", 1, lambda _offset: iter([b"x"])) for name in names)
    records = [{"id": str(number), "text": name} for number, name in enumerate(names)]
    counts = Counts()
    found = screen.batch(dataset("things"), Batch(records, "1", files), counts)
    masked = "[masked:card-number:1111]"
    assert [file.name for file in found.files] == [f"{masked}.wav", f"{masked}-2.wav", "plain.wav"]
    assert [record["text"] for record in found.records] == [f"{masked}.wav", f"{masked}-2.wav", "plain.wav"]
    assert counts.masked == Counter({"card-number": 4})


@pytest.mark.slow
@pytest.mark.parametrize("media_type", ["text/plain", "text/csv; charset=utf-8", "application/json", "image/svg+xml"])
@pytest.mark.parametrize("size", [1, 7, 1000, 1 << 20])
def test_files_of_text_are_reported(screen: Screen, media_type: str, size: int) -> None:
    """However their bytes come; a number may begin a line."""
    content = f"{CARD};x\n".encode() + b"filling up\n" * 20_000 + f"key AKIAABCDEFGHIJKLMNOP\n{NIK}".encode()
    scan = screen.text_file("chats/attachments", media_type)
    assert scan is not None
    for begin in range(0, len(content), size):
        scan.feed(content[begin : begin + size])

    assert scan.close() == Counter({"card-number": 1, "aws-key": 1, "nik": 1})


def test_sound_and_pictures_are_not_looked_through(screen: Screen) -> None:
    """Nor may anything be concluded from their bytes."""
    assert screen.text_file("calls/recordings", "audio/wav") is None


def test_a_file_of_text_may_block() -> None:
    """It cannot be masked, but it can be kept back."""
    scan = Screen(BLOCKED).text_file("chats/attachments", "text/plain")
    assert scan is not None
    scan.feed(CARD.encode())
    with pytest.raises(ScanBlocked, match=r"chats/attachments contains .* card-number \(1\)"):
        scan.close()


def test_a_line_without_end_is_cut(screen: Screen) -> None:
    """A file of one long line is scanned in bounded memory."""
    scan = screen.text_file("chats/attachments", "text/plain")
    assert scan is not None
    for _ in range(40):
        scan.feed(b"x" * (64 << 10))
        assert len(scan._rest) <= 2 << 20
    scan.feed(f" {CARD} ".encode())
    assert scan.close() == Counter({"card-number": 1})


@pytest.mark.parametrize("rule", [rule.id for rule in built_in().rules])
def test_the_corpus_has_every_rule_and_all_of_it_is_found(screen: Screen, rule: str) -> None:
    """Every labelled value is found by its rule; a NIK may happen to be a card number too."""
    labelled = [case for case in LABELLED if case.rule == rule and case.kind not in KNOWN_MISSES]
    missed = [case for case in labelled if not screen.found(case.text)]
    others = [case for case in labelled if rule not in screen.found(case.text)]

    assert labelled
    assert missed == []
    assert len(others) <= len(labelled) * (0.1 if rule == "nik" else 0)


def test_near_misses_of_the_corpus_are_rare(screen: Screen) -> None:
    """Random digits match a number one time in thirty; names, times and phones never do."""
    by_kind: dict[str, list[Case]] = {}
    for case in LABELLED:
        if case.rule is None:
            by_kind.setdefault(case.kind, []).append(case)
    wrong = {kind: sum(bool(screen.found(case.text)) for case in ones) for kind, ones in by_kind.items()}
    by_chance = {"IBAN", "time, microseconds", "16 digits of chance"}

    assert {kind: count for kind, count in wrong.items() if count and kind not in by_chance} == {}
    assert all(wrong[kind] <= EACH * 0.05 for kind in by_chance)


def test_known_misses_are_still_missed(screen: Screen) -> None:
    """If one is found after all, docs/scan.md must say so."""
    assert not any(screen.found(case.text) for case in LABELLED if case.kind in KNOWN_MISSES)


def test_without_the_library_the_result_is_the_same(monkeypatch: pytest.MonkeyPatch, screen: Screen) -> None:
    """Without a wheel, `re` is used."""
    monkeypatch.setattr(prefilter, "_library", lambda: None)
    plain = Screen()

    assert all(plain.found(case.text) == screen.found(case.text) for case in LABELLED[:: len(LABELLED) // 400])


def test_suspects_are_given_by_their_lines(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    """For any blocks in which the lines are scanned."""
    lines = [
        orjson.dumps({"text": CARD if n % 7 == 3 else "npm_" if n % 11 == 5 else f"é {n} 0.25"}) for n in range(200)
    ]
    body = b"".join(line + b"\n" for line in lines)
    for size in (1, 100, 1 << 20):
        monkeypatch.setattr(prefilter, "BLOCK_BYTES", size)
        found = screen._prefilter.suspects(body)
        assert found.numbers == {n for n in range(200) if n % 7 == 3}
        assert found.words == {n for n in range(200) if n % 11 == 5 and n % 7 != 3}


def test_each_literal_is_long_enough_and_few_enough_for_one_pass() -> None:
    """What the price of the scan rests on; and each pattern has literals."""
    literals = [literal for rule in built_in().rules for literal in rule.literals]

    assert sum(len(literal) >= prefilter.LITERAL_BYTES for literal in literals) <= prefilter.LITERALS_MAX
    assert sum(len(literal) < prefilter.LITERAL_BYTES for literal in literals) <= 4
    assert all(rule.literals for rule in built_in().rules if rule.pattern is not None)


HOSTILE = (
    "4 " * 30_000,
    f"{CARD} " * 20_000,
    "1" * 500_000,
    "-----BEGIN PRIVATE KEY-----" * 20_000,
    "http://a?" * 50_000 + "&sig=",
    "http://a" * 50_000 + "?x&sig=",
    "eyJ" * 100_000 + ".eyJ",
    "postgres://" * 30_000,
    "Bearer " * 50_000,
)


@pytest.mark.slow
@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:12])
@pytest.mark.timeout(20)
def test_hostile_text_takes_no_longer_than_its_length_is_worth(screen: Screen, text: str) -> None:
    """No pattern and no number makes a worker hang."""
    screen.found(text)
    list(numbers.find(text))
