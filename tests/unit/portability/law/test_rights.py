"""Rights by regime: each law's rights with their places, written out here, and the regimes that apply to a subject."""

from __future__ import annotations

from pathlib import Path

import pytest

from portability.api.errors import BadSetting
from portability.law import notice
from portability.law.notice import NoticeHole
from portability.law.regime import Period, Regime, SubjectFacts
from portability.law.regimes import built_in, giving_rights, named
from portability.law.rights import LegalRight, RightCode
from portability.locale import languages
from portability.settings import load_settings

PLACES = {
    "gdpr": """access Art. 15; rectification Art. 16; erasure Art. 17; restriction Art. 18; portability Art. 20;
        objection Art. 21(1); object_to_marketing Art. 21(2)-(3); automated_decisions Art. 22(3);
        withdraw_consent Art. 7(3); complaint Art. 77; court Art. 79; compensation Art. 82""",
    "uu_pdp": """access Art. 7; rectification Art. 6, 30; erasure Art. 8, 43; restriction Art. 11, 41;
        portability Art. 13; automated_decisions Art. 10; withdraw_consent Art. 9, 40; court Art. 12;
        compensation Art. 12""",
    "ccpa": """access 1798.100, 1798.110; recipients 1798.115; portability 1798.130(a)(3); rectification 1798.106;
        erasure 1798.105; opt_out_of_sale 1798.120; limit_sensitive 1798.121; no_retaliation 1798.125;
        complaint 1798.199.45; court 1798.150""",
    "hipaa": """access 164.524; recipients 164.528; rectification 164.526; restriction 164.522(a);
        grievance 164.530(d); complaint 160.306""",
    "data_act": """switching Art. 23, 25; extension Art. 25(5); retrieval Art. 25(2)(g); erasure Art. 25(2)(h);
        no_charges Art. 29; dispute_settlement Art. 10(4); complaint Art. 38; court Art. 39""",
    "uk_gdpr": """access Art. 15; rectification Art. 16; erasure Art. 17; restriction Art. 18; portability Art. 20;
        objection Art. 21(1); object_to_marketing Art. 21(2)-(3); automated_decisions Art. 22A-22D;
        withdraw_consent Art. 7(3); grievance with Data Protection Act 2018 s. 164A;
        complaint with Data Protection Act 2018 s. 165; court Art. 79; compensation Art. 82""",
    "fadp": """access Art. 25; recipients Art. 25(2)(g); rectification Art. 32(1); erasure Art. 32(2)(c);
        restriction Art. 32(2)(a)-(b); portability Art. 28; objection Art. 30(2)(b); automated_decisions Art. 21(2);
        complaint Art. 49(1); court Art. 32(2)""",
    "lgpd": """access Art. 18 I-II, 19; recipients Art. 18 VII; rectification Art. 18 III; erasure Art. 18 IV, VI;
        restriction Art. 18 IV; portability Art. 18 V; objection Art. 18 § 2; automated_decisions Art. 20;
        withdraw_consent Art. 18 IX; complaint Art. 18 § 1; court Art. 22; compensation Art. 42""",
    "dpdp": """access s. 11; recipients s. 11(1)(b); rectification s. 12; erasure s. 12; withdraw_consent s. 6(4);
        nominate s. 14; grievance s. 13; complaint s. 13(3), 27""",
    "pipl": """access Art. 45; rectification Art. 46; erasure Art. 47; restriction Art. 44; portability Art. 45;
        objection Art. 44; automated_decisions Art. 24; explanation Art. 48; withdraw_consent Art. 15;
        relatives Art. 49; complaint Art. 65; court Art. 50; compensation Art. 69""",
    "appi": """access Art. 33; recipients Art. 33(5); rectification Art. 34; erasure Art. 35; restriction Art. 35;
        grievance Art. 40; court Art. 39""",
    "quebec_law_25": """access s. 27; rectification s. 28; portability s. 27; automated_decisions s. 12.1;
        withdraw_consent s. 8; deindexing s. 28.1; complaint s. 42; compensation s. 93.1""",
}
OWN = """
[pipeda]
title = "PIPEDA s. 8(3): 30 days"
law = "PIPEDA"
profiles = ["access"]
period = { days = 30 }
countries = ["CA"]

[pipeda.rights]
access = "Schedule 1, 4.9"
challenge = { article = "Schedule 1, 4.10", title = { en = "Challenge of compliance", de = "Beanstandung" } }
"""


@pytest.mark.requirement("R25")
@pytest.mark.parametrize("name", PLACES)
def test_each_law_gives_its_rights(name: str) -> None:
    """The places are those of the law: no code is read here to compute them."""
    expected = [" ".join(entry.split()).split(" ", 1) for entry in PLACES[name].split(";")]
    assert [[right.code, right.article] for right in named(name).rights] == expected


def test_every_built_in_regime_has_rights_and_a_name() -> None:
    """A law that is added gives rights, too. Its name begins its citations."""
    assert built_in().keys() == PLACES.keys()
    assert all(regime.law for regime in built_in().values())


def test_every_built_in_regime_says_what_its_figures_were_compared_with() -> None:
    """A law that is added is compared with a text first; a month names when."""
    assert [name for name, regime in built_in().items() if " 20" not in regime.checked] == []


@pytest.mark.parametrize("code", RightCode)
def test_every_right_has_a_title_in_every_language(code: RightCode) -> None:
    """A notice shows the title, never the code."""
    titles = LegalRight(code, "Art. 1").titles
    assert titles.keys() == {*languages()}
    assert all(title and title != code for title in titles.values())


def test_a_citation_names_the_law_and_each_place_once() -> None:
    """The places of several rights follow the law's name."""
    assert named("gdpr").cites([RightCode.ACCESS, RightCode.PORTABILITY]) == "GDPR Art. 15, Art. 20"
    assert named("uu_pdp").cites([RightCode.COURT, RightCode.COMPENSATION]) == "UU PDP Art. 12"
    assert named("ccpa").cites([RightCode.OBJECTION]) is None


def names(profile: str, laws: str, **known: str | None) -> list[str]:
    return [regime.name for regime in giving_rights(laws.split(","), profile, SubjectFacts(**known))]


@pytest.mark.requirement("R25")
def test_people_have_the_rights_of_people_and_companies_those_of_companies() -> None:
    """APPI has no deadline for portability; the person has its rights nevertheless."""
    assert names("portability", "gdpr,appi,data_act", kind="user") == ["gdpr", "appi"]
    assert names("switch", "gdpr,appi,data_act", kind="tenant", tenant="ten_1") == ["data_act"]


def test_a_law_for_another_country_gives_no_rights(tmp_path: Path) -> None:
    """What is known of the subject excludes a law; if it excludes all, all count."""
    path = tmp_path / "regimes.toml"
    path.write_text(OWN)
    laws = load_settings(dir=tmp_path, regimes="gdpr,data_act,pipeda", regimes_file=path).laws
    for country, expected in (("CA", ["gdpr", "pipeda"]), ("DE", ["gdpr"]), (None, ["gdpr", "pipeda"])):
        found = giving_rights(laws, "access", SubjectFacts("user", country))
        assert [regime.name for regime in found] == expected
    (pipeda,) = [law for law in laws if law.name == "pipeda"]
    assert [regime.name for regime in giving_rights([pipeda], "access", SubjectFacts("user", "DE"))] == ["pipeda"]


def test_a_deployment_adds_rights_with_its_own_law(tmp_path: Path) -> None:
    """A right that the software does not know has a title of its own, in any number of languages."""
    path = tmp_path / "regimes.toml"
    path.write_text(OWN)
    laws = load_settings(dir=tmp_path, regimes="gdpr,data_act,pipeda", regimes_file=path).laws
    (access, challenge) = next(law.rights for law in laws if law.name == "pipeda")
    assert (access.code, access.article) == ("access", "Schedule 1, 4.9")
    assert access.titles["de"] == named("gdpr").rights[0].titles["de"]
    assert challenge.titles == {"en": "Challenge of compliance", "de": "Beanstandung"}


@pytest.mark.parametrize(
    ("rights", "message"),
    [
        ('rights = "Art. 1"', "rights needs a table of articles"),
        ('rights = { access = "" }', "rights.access needs an article"),
        ("rights = { access = 15 }", "rights.access needs an article"),
        ('rights = { access = { article = "s. 1", articles = "s. 2" } }', "rights.access needs an article"),
        ('rights = { "Access" = "s. 1" }', "rights.Access needs an article"),
        ('rights = { asking = "s. 1" }', "rights.asking needs a title"),
        ('rights = { asking = { article = "s. 1", title = { de = "Fragen" } } }', "rights.asking.title needs a text"),
        ('rights = { asking = { article = "s. 1", title = { en = "" } } }', "rights.asking.title needs texts"),
        ('rights = { asking = { article = "s. 1", title = 7 } }', "rights.asking.title needs a text"),
    ],
)
def test_a_wrong_right_is_refused_with_its_table(tmp_path: Path, rights: str, message: str) -> None:
    """The message names the file, the table and the key."""
    path = tmp_path / "regimes.toml"
    path.write_text(f'[own]\ntitle = "Own"\nprofiles = ["access"]\nperiod = {{ days = 5 }}\n{rights}\n')
    with pytest.raises(BadSetting, match=rf"regimes.toml: \[own\]: {message}"):
        load_settings(dir=tmp_path, regimes="gdpr,data_act,own", regimes_file=path)


def test_an_authority_names_regimes_that_exist(tmp_path: Path) -> None:
    """A misspelt name would hide the authority from every notice."""
    (tmp_path / "made.toml").write_text(
        'version = "1"\n[authorities.canada]\nname = "Canada"\ncontact = "priv.gc.ca"\nlaw = "PIPEDA"\n'
        'regimes = ["pipeda"]\n'
    )
    register = notice.load(tmp_path)
    pipeda = Regime(name="pipeda", title="PIPEDA", profiles=frozenset({"access"}), period=Period(days=30))
    notice.check(register, {}, embedded=True, laws=[pipeda])
    with pytest.raises(NoticeHole, match=r"unknown_reference: authorities.canada.regimes: 'pipeda'"):
        notice.check(register, {}, embedded=True)
