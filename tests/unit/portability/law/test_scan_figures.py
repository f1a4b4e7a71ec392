"""Lengths and ranges of the scan rules, written out: a value of the least length is found, a shorter one is not."""

from __future__ import annotations

import re

import pytest

from portability.law import scan_rules

CARDS = {
    "Visa": ("4-4", "13 16 19"),
    "Mastercard": ("51-55 2221-2720", "16"),
    "American Express": ("34-34 37-37", "15"),
    "Diners Club": ("300-305 3095-3095 36-36 38-39", "14 16 19"),
    "Discover": ("6011-6011 644-649 65-65", "16 19"),
    "JCB": ("3528-3589", "16 17 18 19"),
    "UnionPay": ("62-62 8100-8171", "16 17 18 19"),
    "Maestro": ("5018-5018 5020-5020 5038-5038 5893-5893 6304-6304 6759-6759 6761-6763", "13 14 15 16 17 18 19"),
    "Mir": ("2200-2204", "16 17 18 19"),
    "GPN": ("9360-9360", "16 17 18 19"),
}
"""By brand: first digits (ISO/IEC 7812), and how long its numbers are."""
PROVINCES = """
    11 22 76 | 12 28 79 | 13 14 78 | 14 14 74 | 15 12 73 | 16 16 75 | 17 12 72 | 18 16 73 | 19 9 72 | 21 8 73
    31 2 76 | 32 22 80 | 33 30 77 | 34 5 72 | 35 30 80 | 36 6 75 | 51 9 72 | 52 9 73 | 53 24 72
    61 14 73 | 62 15 72 | 63 13 73 | 64 13 75 | 65 6 72 | 71 13 75 | 72 14 72 | 73 28 74 | 74 18 73 | 75 7 72
    76 8 71 | 81 11 73 | 82 10 73 | 91 40 72 | 92 14 72 | 93 6 71 | 94 10 71 | 95 10 71 | 96 8 72
"""
"""Code of each province, its highest regency and its highest city."""
SECRETS = [
    *(("age-key", "AGE-SECRET-KEY-1", 20, ""), ("aws-key", "AKIA", 16, ""), ("aws-key", "ASIA", 16, "")),
    *(("github-token", f"gh{letter}_", 30, "") for letter in "pousr"),
    *(("github-token", "github_pat_", 40, ""), ("gitlab-token", "glpat-", 16, "")),
    *(("registry-token", "npm_", 30, ""), ("registry-token", "pypi-Ag", 40, "")),
    *(("slack-token", f"xox{letter}-", 10, "") for letter in "abeprs"),
    *(("slack-token", "xapp-", 20, ""), ("slack-token", "hooks.slack.com/services/", 20, "")),
    *(("payment-key", "sk_live_", 16, ""), ("payment-key", "rk_test_", 16, ""), ("payment-key", "whsec_", 20, "")),
    *(("payment-key", "xnd_production_", 20, ""), ("payment-key", "Mid-server-", 16, "")),
    *(("google-key", "AIza", 35, ""), ("google-key", "ya29.", 20, ""), ("google-key", "GOCSPX-", 20, "")),
    *(("model-key", f"sk-{maker}-", 20, "") for maker in ("ant", "proj", "svcacct")),
    *(("mail-key", "SG.", 16, "." + "A" * 16), ("mail-key", "SG." + "A" * 16 + ".", 16, "")),
    *(("jwt", "eyJ", 8, ".eyJ" + "A" * 8 + "." + "A" * 10), ("jwt", "eyJ" + "A" * 8 + ".eyJ", 8, "." + "A" * 10)),
    *(("jwt", "eyJ" + "A" * 8 + ".eyJ" + "A" * 8 + ".", 10, ""), ("bearer-token", "Bearer ", 20, "")),
    *(("signed-url", f"https://a?X-{maker}-Signature=", 32, "") for maker in ("Amz", "Goog")),
    *(("signed-url", "https://a?sig=", 40, ""), ("signed-url", "https://", 1, "?sig=" + "A" * 40)),
    *(("password-hash", f"$2{letter}$10$", 53, "") for letter in "abxy"),
    *(("password-hash", f"$argon2{kind}$", 20, "") for kind in ("i", "d", "id")),
    *(("password-hash", "$scrypt$", 20, ""), ("password-hash", "pbkdf2_sha256$", 20, "")),
    *(
        ("password-hash", "$pbkdf2-sha1$", 20, ""),
        ("password-hash", "pbkdf2_sha", 1, "$" + "A" * 20),
        ("password-hash", "$5$", 1, "$" + "A" * 43),
    ),
    *(("password-hash", "$5$A$", 43, ""), ("password-hash", "$6$rounds=5000$A$", 43, "")),
]
"""The rule, the beginning of a value, the least number of the characters that follow, and the end."""
MOST = [
    ("private-key", "-----BEGIN ", 32, "PRIVATE KEY-----"),
    ("private-key", "-----BEGIN PRIVATE KEY-----A-----END ", 32, "PRIVATE KEY-----"),
    ("aws-key", "AKIA", 16, ""),
    ("signed-url", "https://", 1000, "?sig=" + "A" * 40),
    ("signed-url", "https://a?", 2000, "&sig=" + "A" * 40),
    ("password-hash", "$6$", 16, "$" + "A" * 86),
    ("password-hash", "$6$A$", 86, ""),
    ("password-hash", "pbkdf2-sha", 3, "$" + "A" * 20),
]
"""The same with the greatest number."""


def pattern(rule: str) -> re.Pattern[str]:
    (found,) = (one.pattern for one in scan_rules.built_in().rules if one.id == rule)
    assert found
    return found


def test_cards_are_those_of_their_issuers() -> None:
    """Each brand with its first digits and lengths, and a number of each length."""
    brands = scan_rules.built_in().brands
    found = {
        one.name: (
            " ".join(f"{low}-{high}" for low, high in one.prefixes),
            " ".join(map(str, sorted(one.digits))),
        )
        for one in brands
    }
    assert found == CARDS
    visa = brands[0]
    assert [length for length in range(30) if visa.issues("4" * length)] == [13, 16, 19]


def test_provinces_have_their_regencies_and_cities() -> None:
    """Of a NIK: a code beyond the highest does not name a region."""
    table = (line.split() for line in PROVINCES.replace("\n", "|").split("|") if line.strip())
    assert scan_rules.built_in().provinces == {code: (int(most), int(city)) for code, most, city in table}


@pytest.mark.parametrize(("rule", "begin", "least", "end"), SECRETS)
def test_a_secret_has_a_least_length(rule: str, begin: str, least: int, end: str) -> None:
    """A shorter text is something else."""
    filler = "1" if "sha" in begin and begin.endswith("sha") else "A"
    whole = f"{begin}{filler * least}{end}"
    assert pattern(rule).search(whole), whole
    assert not pattern(rule).search(f"{begin}{filler * (least - 1)}{end}")


@pytest.mark.parametrize(("rule", "begin", "most", "end"), MOST)
def test_a_secret_has_a_greatest_length(rule: str, begin: str, most: int, end: str) -> None:
    """So that no text costs much, and no longer text is taken for one. What is found has all of the value."""
    filler = "1" if begin.endswith("sha") else "A"
    for count in (0, 1, most) if begin.startswith("-----") else (most,):
        whole = f"{begin}{filler * count}{end}"
        found = pattern(rule).search(whole)
        assert found, count
        assert found[0] == whole
    longer = pattern(rule).search(f"{begin}{filler * (most + 1)}{end}")
    assert longer is None or len(longer[0]) < len(f"{begin}{filler * (most + 1)}{end}")


def test_a_signature_may_be_the_second_parameter_of_an_address() -> None:
    """Also after an empty one."""
    assert pattern("signed-url").search("https://a?&sig=" + "A" * 40)
