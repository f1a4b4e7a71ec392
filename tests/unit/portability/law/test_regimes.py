"""Which regimes apply to a subject, and the file in which a deployment describes its own."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from portability.api.errors import BadSetting
from portability.law.deadlines import DeadlineClock, deadline
from portability.law.regime import FigureOrigin, Period, SubjectFacts
from portability.law.regimes import applying, built_in, named
from portability.settings import Settings, load_settings

OWN = """
[pipeda]
title = "PIPEDA s. 8(3), 8(4): 30 days, 30 more"
source = "https://laws-lois.justice.gc.ca/eng/acts/P-8.6/"
profiles = ["access"]
period = { days = 30 }
extended_period = { days = 60 }
countries = ["CA"]

[contract_ten_a]
title = "Contract with ten_a, clause 7: five days"
profiles = ["access", "portability"]
period = { days = 5 }
subject_kinds = ["contact"]
tenants = ["ten_a"]

[dpdp]
period = { days = 45 }
countries = ["IN"]
"""
ALL = "gdpr,data_act,pipeda,contract_ten_a,dpdp"


def settings_with(folder: Path, text: str, names: str = ALL) -> Settings:
    path = folder / "regimes.toml"
    path.write_text(text)
    return load_settings(dir=folder, regimes=names, regimes_file=path)


def names_for(settings: Settings, **known: str | None) -> list[str]:
    return [law.name for law in applying(settings.laws, "access", SubjectFacts(**known))]


@pytest.mark.requirement("R10")
def test_regimes_apply_by_residence_kind_and_tenant(tmp_path: Path) -> None:
    """What is known to differ excludes a law; what is not known excludes none, so the earliest deadline counts."""
    settings = settings_with(tmp_path, OWN)
    assert names_for(settings, kind="user", country="CA") == ["gdpr", "pipeda"]
    assert names_for(settings, kind="user", country="DE") == ["gdpr"]
    assert names_for(settings, kind="user", country=None) == ["gdpr", "pipeda", "dpdp"]
    assert names_for(settings, kind="contact", country="DE", tenant="ten_a") == ["gdpr", "contract_ten_a"]
    assert names_for(settings, kind="contact", country="DE", tenant="ten_b") == ["gdpr"]


def test_a_request_is_never_without_a_law(tmp_path: Path) -> None:
    """If the conditions exclude every law of the profile, all laws of the profile apply."""
    settings = settings_with(tmp_path, OWN, "gdpr,data_act,pipeda")
    laws = [law for law in settings.laws if law.name != "gdpr"]
    found = applying(laws, "access", SubjectFacts("user", "DE"))
    assert [law.name for law in found] == ["pipeda"]


@pytest.mark.requirement("R10")
def test_a_figure_that_no_law_states_is_marked_as_policy(tmp_path: Path) -> None:
    """The deployment sets the period of India's Act, which has no figure; it is shown as its policy."""
    settings = settings_with(tmp_path, OWN)
    dpdp = next(law for law in settings.laws if law.name == "dpdp")
    assert (str(dpdp.period), dpdp.is_own, dpdp.origin("access")) == ("45 days", True, FigureOrigin.POLICY)
    clock = DeadlineClock(_received())
    assert deadline([dpdp], "access", clock).figure is FigureOrigin.POLICY
    assert deadline([named("gdpr")], "access", clock).figure is FigureOrigin.LAW
    assert deadline([named("lgpd")], "access", clock).figure is FigureOrigin.LAW
    assert deadline([named("lgpd")], "portability", clock).figure is FigureOrigin.POLICY
    late = DeadlineClock(_received(), extended=True)
    assert deadline([named("fadp")], "access", late).figure is FigureOrigin.POLICY


def test_laws_without_a_right_to_portability_say_so() -> None:
    """The Acts of India and Japan have no such right: their regimes set no deadline for it."""
    without = [
        name for name, law in built_in().items() if "access" in law.profiles and "portability" not in law.profiles
    ]
    assert without == ["hipaa", "dpdp", "appi"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[x", "invalid TOML"),
        ("period = 3", "period is not in a table"),
        ("[x]\nprofiles = ['access']", "[x]: period, title is missing"),
        ("[x]\ntitle='x'\nprofiles=['acces']\nperiod={days=3}", "[x]: profiles contains acces; possible: access"),
        ("[x]\ntitle='x'\nprofiles=['access']\nperiod={days=3, hours=2}", "[x]: a period needs exactly one"),
        ("[x]\ntitle='x'\nprofiles=['access']\nperiod={weeks=3}", "[x]: period needs exactly one"),
        ("[x]\ntitle='x'\nprofiles=['access']\nperiod={days=true}", "[x]: a period needs exactly one"),
        ("[x]\ntitle='x'\nprofiles=['access']\nperiod={days=-1}", "[x]: a period needs exactly one"),
        ("[x]\ntitle=3\nprofiles=['access']\nperiod={days=3}", "[x]: title needs a value of type str"),
        ("[x]\ntitle='x'\nprofiles='access'\nperiod={days=3}", "[x]: profiles needs a list"),
        ("[x]\ntitle='x'\nprofiles=['access']\nperiod={days=3}\ncolour='red'", "[x]: unknown key colour"),
        ("[x]\ntitle='x'\nprofiles=['access']\nperiod={days=3}\ncountries=['XX']", "[x]: countries contains XX"),
        ("[x]\ntitle='x'\nprofiles=['access']\nperiod={days=3}\npauses=['holiday']", "[x]: pauses contains holiday"),
        ("[gdpr]\nperiod = { months = 12 }", "[gdpr]: the law states the period, so it cannot be changed"),
        ("[lgpd]\nperiod = { days = 60 }", "[lgpd]: the law states the period, so it cannot be changed"),
        ("[gdpr]\nextended_period = { months = 12 }", "[gdpr]: the law states the extended period or has none"),
        ("[x]\ntitle='x'\nprofiles=['access']\nperiod={days=36501}", "[x]: a period has at most 36500 days"),
        ("[x]\ntitle='x'\nprofiles=['access']\nperiod={months=1201}", "[x]: a period has at most 1200 months"),
        (
            "[x]\ntitle='x'\nprofiles=['access']\nperiod={days=3}\nlog_months=0",
            "[x]: log_months must be from 1 to 1200",
        ),
        (
            "[x]\ntitle='x'\nprofiles=['access']\nperiod={days=3}\nlog_months=-5",
            "[x]: log_months must be from 1 to 1200",
        ),
        (
            "[x]\ntitle='x'\nprofiles=['access']\nperiod={days=3}\nextension_working_days=-3",
            "[x]: extension_working_days must be from 0 to 1000",
        ),
        ("[dpdp]\npauses = ['identity']", "[dpdp]: pauses of a built-in regime cannot be changed"),
    ],
)
def test_a_faulty_file_is_refused_at_the_start(tmp_path: Path, text: str, message: str) -> None:
    """One line names the setting, the file, the table and the fault."""
    with pytest.raises(BadSetting) as raised:
        settings_with(tmp_path, text, "gdpr,data_act")
    said = str(raised.value)
    assert said.startswith(f"PORTABILITY_REGIMES_FILE: {tmp_path / 'regimes.toml'}: {message}")
    assert "\n" not in said


def test_a_missing_file_and_a_missing_law_are_refused(tmp_path: Path) -> None:
    """A path without a file, and a name that neither the file nor this software knows."""
    with pytest.raises(BadSetting, match=r"PORTABILITY_REGIMES_FILE: .*none.toml: cannot read the file"):
        load_settings(dir=tmp_path, regimes_file=tmp_path / "none.toml")
    with pytest.raises(BadSetting, match=r"PORTABILITY_REGIMES: unknown regime 'atlantis'; known regimes: .*pipeda"):
        settings_with(tmp_path, OWN, "gdpr,data_act,atlantis")


def _received() -> datetime:
    return datetime(2026, 1, 12, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("period", "words"),
    [(Period(months=1), "1 month"), (Period(days=2), "2 days"), (Period(hours=72), "72 hours")],
)
def test_a_period_is_shown_in_words(period: Period, words: str) -> None:
    """As the overview of the laws has it: the singular for one only."""
    assert str(period) == words
