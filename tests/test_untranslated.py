"""The finder of English on translated pages finds it, in each place where a reader meets text, and only there."""

from __future__ import annotations

import pytest
from untranslated import left_in_source, texts_of

PAGE = '<html lang="de"><body><h1>Ihre Daten</h1>{}<p>Zum Inhalt springen</p></body></html>'


@pytest.mark.parametrize(
    "content",
    [
        "<p>Request a copy of your data</p>",
        "<p>  Request a copy\n of your data </p>",
        "<ul><li>Log in<li>Anmelden</ul>",
        '<img src="x" alt="Skip to the content">',
        '<button aria-label="Log out">X</button>',
        '<div lang="en"><p lang="de">Your copies</p></div>',
        "<p>Hinweis: Your copy is ready. Download it and keep it in a safe place. Danke!</p>",
        "<p>Reason: unbekannt</p>",
        "<p><code>export.json</code> describes the whole export: its results, what is missing, and its volumes.</p>",
        "<td>Account profile</td>",
        "<td>Your contract with the company whose customer you are</td>",
    ],
)
def test_english_is_found(content: str) -> None:
    """As a whole node or block, in an attribute, as a part of a text, with a placeholder filled in, with markup."""
    assert len(left_in_source(texts_of(PAGE.format(content), "de"), "de")) >= 1


@pytest.mark.parametrize(
    "content",
    [
        "",
        '<p lang="en">Request a copy of your data</p>',
        "<script>'Your copies'</script><style>/* Your copies */</style>",
        "<p>Chats</p><p>Status</p>",
        "<td><code>worker</code></td>",
        "<p>Notiz: I have to log in to see it.</p>",
        '<p data-note="Your copies">Ihre Kopien</p>',
    ],
)
def test_german_and_data_are_not(content: str) -> None:
    """Nor what is marked as English, the words that both languages share, and what a person wrote."""
    assert left_in_source(texts_of(PAGE.format(content), "de"), "de") == []
