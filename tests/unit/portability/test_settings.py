from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from portability.api.errors import BadSetting
from portability.database.engine import open_engine, writing
from portability.settings import Settings, load_settings

URL_SETTINGS = [
    *("DATABASE_URL", "SOURCE_URL", "REDIS_URL", "STORAGE_URL", "RECORDINGS_URL", "BASE_URL", "OIDC_ISSUER", "SMTP_URL")
]
SECRET_URLS = [
    "hunter2",
    "hunter2:rest",
    "hunter2://user@host/",
    "gopher://user:hunter2@host/",
    "redis://user:hunter2@[host/",
    "https://user:hunter2@host℀/",  # urllib repeats such a host in its own message
]


def test_nothing_set_is_the_embedded_stack(tmp_path: Path) -> None:
    """Without any settings everything is in one folder, and no server is named."""
    settings = load_settings(dir=tmp_path)
    assert settings.embedded
    assert settings.database == f"sqlite:///{tmp_path}/portability.sqlite"
    assert settings.source == f"sqlite:///{tmp_path}/platform.sqlite"
    assert settings.storage == (tmp_path / "archives").as_uri()
    assert settings.recordings == (tmp_path / "recordings").as_uri()
    assert settings.keys == tmp_path / "keys"
    assert settings.iss == settings.base_url


@pytest.mark.parametrize("name", ["DATABASE_URL", "REDIS_URL", "STORAGE_URL"])
def test_one_server_of_its_own_ends_the_embedded_stack(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """If any part is configured, no servers are started and claimed roles are not accepted."""
    urls = {"DATABASE_URL": "sqlite:///x.sqlite", "REDIS_URL": "redis://localhost/0", "STORAGE_URL": "file:///archives"}
    monkeypatch.setenv(f"PORTABILITY_{name}", urls[name])
    assert not load_settings().embedded


def test_all_faults_are_reported_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every fault is reported at once, each with the name of its variable, in one line."""
    bad = {"VOLUME_BYTES": "many", "LEASE_SECONDS": "0", "DATABASE_URL": "mysql://h/d", "STORAGE_SSE": "rot13"}
    for name, value in bad.items():
        monkeypatch.setenv(f"PORTABILITY_{name}", value)
    with pytest.raises(BadSetting) as raised:
        load_settings()
    assert all(f"PORTABILITY_{name}: " in str(raised.value) for name in bad)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", URL_SETTINGS)
@pytest.mark.parametrize("url", SECRET_URLS)
def test_a_bad_url_is_named_and_never_repeated(name: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A URL may contain a password at any place, even in place of the scheme: nothing of it is repeated."""
    monkeypatch.setenv(f"PORTABILITY_{name}", url)
    with pytest.raises(BadSetting) as raised:
        load_settings()
    assert f"PORTABILITY_{name}: " in str(raised.value)
    assert "hunter2" not in f"{raised.value!r} {raised.value.hint}"


@pytest.mark.parametrize("url", ["redis://host:port/0", "redis://host/0?db=x", "redis://host?socket_timeout=soon"])
def test_a_redis_url_is_checked_whole(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A port or database that is not a number is found here, not by the first request."""
    monkeypatch.setenv("PORTABILITY_REDIS_URL", url)
    with pytest.raises(BadSetting, match="PORTABILITY_REDIS_URL"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("DATABASE_URL", "postgresql+psycopg://app:hunter2@host/db?ssl_mode=require"),
        ("REDIS_URL", "redis://:hunter2@host/0?ssl=yes"),
        ("REDIS_URL", "rediss://:hunter2@host/0?ssl_cert_reqs=perhaps"),
    ],
)
def test_an_unknown_parameter_of_a_server_is_found_at_the_start(
    name: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before: a traceback of the driver, in the first command that connected."""
    monkeypatch.setenv(f"PORTABILITY_{name}", url)
    with pytest.raises(BadSetting, match=f"PORTABILITY_{name}: has a parameter after ") as raised:
        load_settings()
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("password", ["hun@ter2", "hun@ter2/x", "@hunter2", "hunter2@"])
def test_an_at_sign_in_a_password_of_postgresql_needs_its_code(password: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise what follows it would be a host, which errors name; nothing of the password is in the fault."""
    monkeypatch.setenv("PORTABILITY_DATABASE_URL", f"postgresql+psycopg://app:{password}@db.example/1")
    with pytest.raises(BadSetting, match="write each @ of a user or a password as %40") as raised:
        load_settings()
    assert "ter2" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("DATABASE_URL", "postgresql+psycopg://app:a%40b%2Fc%25@[2001:db8::1]:5432/db?sslmode=verify-full"),
        ("DATABASE_URL", "postgresql+psycopg://app@/db?host=/run/postgresql"),
        ("DATABASE_URL", "sqlite:////srv/a@b@c/control.sqlite"),
        ("REDIS_URL", "rediss://app:a%40b%2Fc%25@[2001:db8::1]:6379/0?ssl_cert_reqs=required"),
        ("REDIS_URL", "redis://app:a@b@db.example/1"),
        ("REDIS_URL", "unix:///run/valkey.sock?db=3"),
    ],
)
def test_urls_of_servers_that_are_right(name: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Codes in passwords, IPv6, sockets, parameters that the client knows, and a folder with an at sign.

    The client of Redis takes the last at sign for the end of the password.
    """
    monkeypatch.setenv(f"PORTABILITY_{name}", url)
    assert getattr(load_settings(), name.lower()) == url


@pytest.mark.parametrize("name", ["what?", "50%20off", "#1", "me@here", "two words", "Prüfung"])
def test_the_databases_of_a_folder_are_in_it(tmp_path: Path, name: str) -> None:
    """Whatever its name is: what follows ? was not a part of the path, so both databases were one file elsewhere."""
    folder = tmp_path / name
    folder.mkdir()
    settings = load_settings(dir=folder)
    for url in (settings.database, settings.source):
        engine = open_engine(url)
        with writing(engine) as connection:
            connection.exec_driver_sql("create table t (id integer)")
        engine.dispose()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert {path.name for path in folder.iterdir()} == {"platform.sqlite", "portability.sqlite"}


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_end_of_a_line_belongs_to_no_value(end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret of Kubernetes that was made of a file ends with one: a token with it is in no valid header."""
    texts = {
        "SMS_TOKEN": "token",
        "OIDC_CLIENT_SECRET": "secret",
        "DATABASE_URL": "postgresql+psycopg://app:x@db/portability",
        "KEYS_DIR": "/srv/keys",
        "TIME_ZONE": "Asia/Jakarta",
    }
    for name, text in texts.items():
        monkeypatch.setenv(f"PORTABILITY_{name}", f"{text}{end}")
    settings = load_settings()
    assert {name: str(getattr(settings, name.lower())) for name in texts} == texts


@pytest.mark.parametrize("name", ["DATABASE_URL", "SOURCE_URL", "INBOX_INTO"])
@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite:///:memory:"])
def test_a_database_in_memory_is_refused(name: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each process would have a database of its own."""
    monkeypatch.setenv(f"PORTABILITY_{name}", url)
    with pytest.raises(BadSetting, match=f"PORTABILITY_{name}: needs the path of a file"):
        load_settings()


def test_a_relative_database_is_that_of_the_working_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As all relative paths of settings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PORTABILITY_DATABASE_URL", "sqlite:///control.sqlite")
    assert load_settings().database == "sqlite:///control.sqlite"


@pytest.mark.parametrize("quote", ['"', "'"])
def test_a_value_in_quotation_marks_is_refused(quote: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`docker run --env-file` keeps them: a contact would be printed with them, and no folder have such a name."""
    texts = {"CONTACT": "a@b.example", "NOTICE_DIR": "/srv/notice", "REDIS_URL": "redis://h", "OIDC_CLIENT_SECRET": "x"}
    for name, text in texts.items():
        monkeypatch.setenv(f"PORTABILITY_{name}", f"{quote}{text}{quote}")
    monkeypatch.setenv("PORTABILITY_MAIL_FROM", '"Acme" <a@b.example>')
    with pytest.raises(BadSetting) as raised:
        load_settings()
    found = str(raised.value).split("; ")
    assert {fault.partition(":")[0] for fault in found} == {f"PORTABILITY_{name}" for name in texts}
    assert all("is in quotation marks" in fault for fault in found)


@pytest.mark.parametrize("name", ["DIR", "SOURCES", "KEYS_DIR", "NOTICE_DIR", "INBOX_DIR"])
@pytest.mark.parametrize("path", ["", " ", "\n"])
def test_an_empty_path_is_refused(name: str, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be the working directory: state, keys or received data would be written there."""
    monkeypatch.setenv(f"PORTABILITY_{name}", path)
    with pytest.raises(BadSetting, match=f"PORTABILITY_{name}: is empty"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "largest"),
    [
        ("LEASE_SECONDS", 1_209_600),
        ("CLOCK_SECONDS", 1_209_600),
        ("SOURCE_SECONDS", 1_209_600),
        ("ARCHIVE_TTL_SECONDS", 3_155_760_000),
        ("REQUEST_LOG_MONTHS", 1200),
        ("INBOX_JOURNAL_DAYS", 36_525),
        ("LINK_CLAIMS_MAX", 2_147_483_647),
        ("VOLUME_BYTES", 1_125_899_906_842_624),
    ],
)
def test_numbers_have_an_upper_bound(name: str, largest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lease without end let no export end, and a clock with an infinite pause did not start."""
    monkeypatch.setenv(f"PORTABILITY_{name}", str(largest))
    assert getattr(load_settings(), name.lower()) == largest
    for more in (str(largest + 1), "1e300", "inf"):
        monkeypatch.setenv(f"PORTABILITY_{name}", more)
        with pytest.raises(BadSetting, match=f"PORTABILITY_{name}: "):
            load_settings()


def test_a_bad_number_is_never_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret pasted into the wrong variable stays unseen."""
    monkeypatch.setenv("PORTABILITY_VOLUME_MEMBERS", "hunter2")
    with pytest.raises(BadSetting) as raised:
        load_settings()
    assert "hunter2" not in str(raised.value)


def test_settings_do_not_change() -> None:
    """A process reads its settings once; nothing in it can move the storage under a running export."""
    with pytest.raises(ValueError, match="frozen"):
        load_settings().volume_bytes = 1


def test_every_setting_is_described() -> None:
    """A field's description is its line in docs/settings.md."""
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


@pytest.mark.parametrize("rest", ["/portability", "/portability/", "//export", "/?tenant=1", "/#pages"])
def test_the_public_address_is_a_host_of_its_own(rest: str) -> None:
    """Links, cookies and /.well-known begin at the root: below a path of a shared host none of them would work."""
    with pytest.raises(BadSetting, match="PORTABILITY_BASE_URL: must end after the host"):
        load_settings(base_url=f"https://data.example{rest}")


@pytest.mark.parametrize("url", ["https://data.example", "https://data.example/", "http://[::1]:8000"])
def test_a_public_address_may_end_with_a_slash(url: str) -> None:
    """All addresses that are written leave a slash at its end out."""
    assert load_settings(base_url=url).base_url == url


@pytest.mark.parametrize("url", ["https://data.vlint.example", "http://10.0.0.7:8000", "http://localhost.evil.example"])
def test_no_one_logs_in_without_a_password_from_elsewhere(url: str) -> None:
    """The development login exists only where only this machine can reach it."""
    with pytest.raises(BadSetting, match="PORTABILITY_DEVELOPMENT_LOGIN"):
        load_settings(development_login=True, base_url=url)


@pytest.mark.parametrize("url", ["http://localhost:8000", "http://127.0.0.1", "http://[::1]:8000"])
def test_the_development_login_is_for_this_machine(url: str) -> None:
    """On a loopback address it is allowed for trials."""
    assert load_settings(development_login=True, base_url=url).development_login


def test_settings_that_need_each_other_are_named_together() -> None:
    """Mail without a sender, a provider without its client: each fault with the name of its variable, in one line."""
    with pytest.raises(BadSetting) as raised:
        load_settings(smtp_url="smtps://user:hunter2@mail.example", oidc_issuer="http://login.example")
    assert str(raised.value).count("PORTABILITY_OIDC_ISSUER: ") == 2
    assert "PORTABILITY_MAIL_FROM: " in str(raised.value)
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    "sender",
    ["", "vlint", "a@b.example, c@d.example", "a@b.example\r\nBcc: c@d.example", "Vlint <a@b.example", "ä@b.example"],
)
def test_a_sender_is_one_address(sender: str) -> None:
    """What stands in From: of every mail is checked once, at the start."""
    with pytest.raises(BadSetting, match="PORTABILITY_MAIL_FROM"):
        load_settings(mail_from=sender)


@pytest.mark.parametrize("sender", ["privacy@vlint.example", "Vlint <privacy@vlint.example>"])
def test_a_sender_may_have_a_name(sender: str) -> None:
    """An address alone, or with the name that people see."""
    assert load_settings(mail_from=sender).mail_from == sender


def test_secrets_are_not_in_the_settings_text() -> None:
    """Printing the settings, even in a traceback, prints no password."""
    database = "postgresql+psycopg://u:hunter2@host/d"
    text = repr(
        load_settings(
            database_url=database,
            source_url=database,
            redis_url="redis://u:hunter2@host/0",
            oidc_client_secret="hunter2",
            smtp_url="smtps://u:hunter2@mail.example",
            mail_from="a@b.example",
        )
    )
    assert "hunter2" not in text


def test_a_tenant_has_thirty_days() -> None:
    """The EU Data Act's least time to retrieve (Art. 25(2)(g)) cannot be configured away."""
    with pytest.raises(BadSetting, match="PORTABILITY_TENANT_ARCHIVE_TTL_SECONDS"):
        load_settings(tenant_archive_ttl_seconds=29 * 86_400)


def test_approvals_follow_the_stack(tmp_path: Path) -> None:
    """On one machine there is no second person; elsewhere the policy requires one unless configured otherwise."""
    assert not load_settings(dir=tmp_path).needs_approvals
    assert load_settings(database_url="sqlite:////x.sqlite").needs_approvals
    assert not load_settings(database_url="sqlite:////x.sqlite", approvals="none").needs_approvals


def test_laws_and_their_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose deadlines count, and where a day ends."""
    assert [law.name for law in load_settings().laws] == ["gdpr", "uu_pdp", "data_act"]
    for name, value in {"REGIMES": "ccpa, data_act", "TIME_ZONE": "Asia/Jakarta", "HOLIDAYS": "2026-12-25"}.items():
        monkeypatch.setenv(f"PORTABILITY_{name}", value)
    settings = load_settings()
    assert [law.name for law in settings.laws] == ["ccpa", "data_act"]
    assert str(settings.place.zone) == "Asia/Jakarta"
    assert not settings.place.works(date(2026, 12, 25))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REGIMES", "gdpr,atlantis"),
        ("REGIMES", " , "),
        ("REGIMES", "gdpr,uu_pdp"),  # nothing for a company that leaves
        ("REGIMES", "hipaa,data_act"),  # nothing for portability
        ("TIME_ZONE", "Mars/Olympus"),
        ("TIME_ZONE", "../../etc/passwd"),
        ("HOLIDAYS", "25.12.2026"),
    ],
)
def test_unknown_laws(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused at the start: a deadline by a guess is worse than none."""
    monkeypatch.setenv(f"PORTABILITY_{name}", value)
    with pytest.raises(BadSetting, match=f"PORTABILITY_{name}"):
        load_settings()


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("brand_name", ""),
        ("brand_name", " Acme"),
        ("brand_name", "Acme\nInc."),
        ("brand_name", "Acme \u202egnp"),
        ("brand_name", "x" * 61),
        ("brand_mark", "ACME"),
        ("brand_mark", ""),
        ("brand_mark", "/absent/mark.svg"),
        ("brand_colour", "blue"),
        ("brand_colour", "#9db5ff"),
        ("brand_colour_dark", "#2447b2"),
        ("brand_archive_prefix", "Acme"),
        ("brand_archive_prefix", "acme-"),
        ("brand_archive_prefix", "../acme"),
        ("brand_archive_prefix", "a" * 21),
    ],
)
def test_a_brand_is_checked_at_the_start(setting: str, value: str) -> None:
    """No line break gets into a header, no file name needs care, and no text is too faint to be read."""
    with pytest.raises(BadSetting, match=f"PORTABILITY_{setting.upper()}"):
        load_settings(**{setting: value})


def test_a_brand_is_neutral_where_none_is_set() -> None:
    """A name of the software, not of a company."""
    settings = load_settings()
    assert (settings.brand, settings.brand_name, settings.brand_archive_prefix) == ("Portability", None, "export")
    assert load_settings(brand_name="Acme").brand == "Acme"


def test_a_name_may_have_joiners_of_letters() -> None:
    """A Persian name needs them where two letters stay apart."""
    name = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"
    assert load_settings(brand_name=name).brand == name


@pytest.mark.parametrize("name", ["STORAGE_URL", "RECORDINGS_URL"])
@pytest.mark.parametrize("url", ["file://archives", "file:archives", "file://archives/2026"])
def test_a_folder_of_a_storage_is_absolute(name: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """After two slashes a host begins: it is refused with the other settings, not by the first export."""
    monkeypatch.setenv(f"PORTABILITY_{name}", url)
    with pytest.raises(BadSetting, match="three slashes"):
        load_settings()


@pytest.mark.parametrize("url", ["file:///archives", "file:/archives", "file://localhost/archives"])
def test_each_form_of_an_absolute_folder_is_accepted(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 8089 has three."""
    monkeypatch.setenv("PORTABILITY_STORAGE_URL", url)
    assert load_settings().storage == url
