"""A translation is of the text that its reader would otherwise see, whatever the names of the dataset are."""

from __future__ import annotations

from dataclasses import replace

from portability.api import Dataset, Field, FieldType, FieldValue, Provenance, Role, Withheld, WithheldKind
from portability.locale import translated, translations

ID = Field("id", FieldType.STRING, "Number of the customer card.", Provenance.PROVIDED)
CONTACTS = Dataset("contacts", "Buyers", "Everything about you.", (ID,), Provenance.PROVIDED, Role.CONTROLLER, ("id",))


def test_a_company_s_dataset_is_not_described_by_a_built_in_one_of_its_name() -> None:
    """A source `crm` with a table `contacts` is the example of docs/newcomer.md.

    Its German readers saw that numbers of identity documents are not exported, which only the built-in exporter `crm`
    can know.
    """
    assert translations.of_dataset("crm", CONTACTS) == {}
    assert translations.of_field("crm", CONTACTS, ID) == {}
    assert translated("de", "data.crm/contacts.title", CONTACTS.title) == CONTACTS.title
    profile = replace(CONTACTS, name="profile")
    hidden = Withheld("password_hash", "your secret word", "it is secret", WithheldKind.SECRET)
    assert translations.of_withheld("account", profile, hidden) == {}
    status = Field("status", FieldType.STRING, "State.", Provenance.PROVIDED, values=(FieldValue("open", "Awake"),))
    assert translations.of_value("crm", replace(CONTACTS, name="opportunities"), status, status.values[0]) == {
        "en": "Awake"
    }


def test_the_same_text_has_its_translation() -> None:
    """Title, description and fields are compared one by one: a title that says the same is translated."""
    found = translations.of_dataset("crm", replace(CONTACTS, title="Contacts"))
    assert found == {"title": {"de": "Kontakte", "id": "Kontak"}}
