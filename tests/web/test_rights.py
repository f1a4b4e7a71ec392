from __future__ import annotations

import pytest
from markupsafe import escape
from served import OWNER, Served

from portability.law import notice
from portability.locale import languages


@pytest.mark.requirement("R30")
@pytest.mark.parametrize("language", languages())
def test_the_page_says_what_else_a_person_may_do(served: Served, language: str) -> None:
    """How to correct, erase, withdraw a consent, stop marketing and complain: on their page, and on each copy's."""
    export_id = served.ready()
    register = notice.load()
    with served.browser(OWNER) as visitor:
        visitor.send("/language", page="/me", language=language, next="/me")
        for path in ("/me", f"/me/exports/{export_id}"):
            text = visitor.client.get(path).text
            for name in ("correct", "erase", "withdraw", "stop_marketing", "complain"):
                right = register.rights[name]
                assert str(escape(right.title.read(language))) in text
                assert str(escape(right.how_with(register.controller.contact).read(language))) in text
