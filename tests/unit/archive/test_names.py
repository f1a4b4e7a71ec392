from __future__ import annotations

import pytest

from archive.names import PATH_CHARS, MemberNames, is_safe, safe_name


@pytest.mark.parametrize("name", ["calls/calls.jsonl", "calls/recordings/c-1.wav", "a", "A_b-c.d/e.f.g", "-rf"])
def test_a_safe_name_stays(name: str) -> None:
    """What is safe already is not touched."""
    assert safe_name(name) == name


@pytest.mark.parametrize(
    ("name", "beginning", "end"),
    [
        ("../../x", "x-", ""),
        ("/etc/passwd", "etc/passwd-", ""),
        ("C:\\Windows\\x.wav", "C-/Windows/x-", ".wav"),
        ("CON", "_CON-", ""),
        ("a/nul.txt", "a/_nul-", ".txt"),
        ("call 1.wav", "call-1-", ".wav"),
        (".hidden", "hidden-", ""),
        ("trailing. ", "trailing-", ".-"),
        ("\N{GRINNING FACE}", "--", ""),
        ("", "unnamed-", ""),
        ("..", "unnamed-", ""),
        ("mail/..eml", "mail/unnamed-", ".eml"),
        ("calls/...vcon.json", "calls/unnamed.vcon-", ".json"),
        ("a\x00b\n", "a-b--", ""),
        ("x" * 300 + ".wav", "x" * 100, ".wav"),
    ],
)
def test_a_hostile_name_is_cleaned_and_marked(name: str, beginning: str, end: str) -> None:
    """An unsafe name keeps its safe characters and gets a suffix from its hash, which is always the same."""
    cleaned = safe_name(name)
    assert cleaned.startswith(beginning)
    assert cleaned.endswith(end)
    assert is_safe(cleaned)
    assert safe_name(name) == cleaned


def test_different_hostile_names_stay_different() -> None:
    """Names that clean to the same text differ by their hash."""
    assert safe_name("call:1") != safe_name("call?1")


def test_case_twins_get_different_paths() -> None:
    """A file system that ignores case must not lose one of two files."""
    names = MemberNames()
    first, second = names.claim("calls/A.wav"), names.claim("calls/a.wav")
    assert first == "calls/A.wav"
    assert second.lower() != first.lower()
    assert second.endswith(".wav")


def test_a_file_never_stands_where_a_folder_is_needed() -> None:
    """A path below a file, and a file that is a folder's name, cannot be unpacked: both are moved aside."""
    names = MemberNames()
    assert names.claim("a") == "a"
    assert not names.claim("a/b").startswith("a/")
    assert names.claim("c/d") == "c/d"
    assert names.claim("c") != "c"


def test_the_same_claims_give_the_same_paths() -> None:
    """A repeated volume has the same names as the previous one."""
    claims = ["x.wav", "X.wav", "x.WAV", "../x.wav"]
    one, two = MemberNames(), MemberNames()
    assert [one.claim(name) for name in claims] == [two.claim(name) for name in claims]


def test_the_longest_name_is_the_limit() -> None:
    """PATH_CHARS characters are allowed, one more is not."""
    assert is_safe("x" * PATH_CHARS)
    assert not is_safe("x" * (PATH_CHARS + 1))
