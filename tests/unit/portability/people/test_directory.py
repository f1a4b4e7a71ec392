"""How a subject is reached that is an address."""

from __future__ import annotations

from portability.api import SubjectKind
from portability.people.directory import NoDirectory, look_up, named


def test_an_e_mail_address_is_reached_there() -> None:
    """It is proved, in the form that mail servers take, and no account is behind it. The directory does not know it."""
    contact = look_up(NoDirectory(), named(SubjectKind.EMAIL, "ann@b\u00fccher.example", None))
    assert contact
    assert (contact.address, contact.verified) == ("ann@xn--bcher-kva.example", True)
    assert (contact.language, contact.changed_at, contact.can_log_in) == (None, None, False)


def test_a_number_has_no_mailbox() -> None:
    """It gets SMS."""
    assert look_up(NoDirectory(), named(SubjectKind.PHONE, "+493090182020", None)) is None
