"""The way to the mail server: encrypted but for this machine, and what it says is not repeated."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path

import pytest
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from postbox import open_postbox

from portability.messages import mail
from portability.messages.mail import Letter, MailRefused, MailServer, MailUnavailable

LETTER = Letter("Ready", "It is ready.\n", "<p>It is ready.</p>\n")
WRITTEN_AT = datetime(2026, 11, 25, 8, 30, tzinfo=UTC)


def message(recipient: str = "ana@mail.example") -> EmailMessage:
    written = {
        "sender": "Vlint <data@vlint.example>",
        "identifier": "ntf_1",
        "written_at": WRITTEN_AT,
        "language": "en",
    }
    return mail.compose(LETTER, recipient=recipient, **written)  # type: ignore[arg-type]  # of a dict


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for localhost, which is not trusted yet, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    present = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(present - timedelta(days=1))
        .not_valid_after(present + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


def serving(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_a_message_has_what_a_reader_needs() -> None:
    """Text and HTML, a Message-ID of our domain that does not change, and no holiday notice in return."""
    made = message()

    assert [part.get_content_type() for part in made.iter_parts()] == ["text/plain", "text/html"]
    assert made["Message-ID"] == message()["Message-ID"] == "<ntf_1@vlint.example>"
    assert made["Auto-Submitted"] == "auto-generated"
    assert made["Date"] == message()["Date"]


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://mail.example", ("mail.example", 587, False, True)),
        ("smtps://mail.example", ("mail.example", 465, True, False)),
        ("smtp://127.0.0.1:1025", ("127.0.0.1", 1025, False, False)),
        ("smtp://localhost:1025", ("localhost", 1025, False, False)),
        ("smtp://localhost.evil.example:25", ("localhost.evil.example", 25, False, True)),
    ],
)
def test_mail_is_encrypted_but_on_this_machine(url: str, server: tuple[str, int, bool, bool]) -> None:
    """`smtps:` from the first byte; `smtp:` by STARTTLS, which no setting switches off."""
    found = MailServer.of(url)

    assert (found.host, found.port, found.implicit_tls, found.starttls) == server


def test_user_and_password_may_hold_anything() -> None:
    """They are quoted in the URL; the password is not in the text of the server."""
    server = MailServer.of("smtps://data%40vlint.example:a%3Ab%2Fc@mail.example")

    assert (server.user, server.password) == ("data@vlint.example", "a:b/c")
    assert "a:b/c" not in repr(server)


def test_starttls_is_demanded() -> None:
    """A server, or an attacker in between, that offers no TLS gets neither password nor mail."""
    with open_postbox() as box:
        server = MailServer("127.0.0.1", box.port, False, True, "user", "hunter2")
        with pytest.raises(MailUnavailable, match="SMTPNotSupportedError"), mail.session(server, 5):
            pass
    assert box.taken == []


@pytest.mark.parametrize("implicit", [True, False], ids=["smtps", "starttls"])
def test_a_certificate_must_be_trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch, implicit: bool) -> None:
    """With a stranger's certificate nothing is handed over; with one that the system trusts it is."""
    options = {"ssl_context": serving(certificate)} if implicit else {"tls_context": serving(certificate)}
    with open_postbox(**options) as box:
        server = MailServer("localhost", box.port, implicit, not implicit, None, None)
        with pytest.raises(MailUnavailable, match="SSLCertVerificationError"), mail.session(server, 5):
            pass
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        with mail.session(server, 5) as smtp:
            mail.send(smtp, message())

    assert box.ids == ["<ntf_1@vlint.example>"]


def test_a_wrong_password_is_waited_for(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator has to correct it: nothing is given up, and the value is not repeated."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    def refuse(*_arguments: object) -> AuthResult:
        return AuthResult(success=False, handled=False)

    with open_postbox(tls_context=serving(certificate), authenticator=refuse, auth_required=True) as box:
        server = MailServer("localhost", box.port, False, True, "user", "hunter2")
        with pytest.raises(MailUnavailable) as raised, mail.session(server, 5):
            pass

    assert "hunter2" not in str(raised.value)
    assert "535" in str(raised.value)


@pytest.mark.parametrize("address", ["jörg.ñ@mail.example", "用户@例子.example"])
def test_a_mailbox_may_have_any_letters(address: str) -> None:
    """A server with SMTPUTF8 (RFC 6531) takes it, in the envelope and the header; to another it is not sent."""
    with open_postbox() as box:
        with mail.session(MailServer("127.0.0.1", box.port, False, False, None, None), 5) as smtp:
            mail.send(smtp, message(address))
        assert (box.recipients, str(box.taken[0]["To"])) == ([address], address)
    with (
        open_postbox(enable_SMTPUTF8=False) as box,
        mail.session(MailServer("127.0.0.1", box.port, False, False, None, None), 5) as smtp,
        pytest.raises(MailRefused, match="does not support addresses with non-ASCII characters"),
    ):
        mail.send(smtp, message(address))


@pytest.mark.parametrize(
    "address", ["a@b.example\r\nBcc: c@d.example", "a@b.example, c@d.example", "@", "", "a b@c", "ä\u2028b@c.example"]
)
def test_an_invalid_address_is_refused(address: str) -> None:
    """It never becomes a header or a second recipient, nor part of the error."""
    with pytest.raises(MailRefused) as raised:
        message(address)
    assert "example" not in str(raised.value)


def test_what_a_server_says_is_not_repeated() -> None:
    """It quotes the address: the code must do."""
    with open_postbox() as box:
        box.on_recipient = lambda address: f"550 5.1.1 {address} unknown"
        server = MailServer("127.0.0.1", box.port, False, False, None, None)
        with mail.session(server, 5) as smtp, pytest.raises(MailRefused) as raised:
            mail.send(smtp, message())

    assert str(raised.value) == "the mail server refuses the recipient: 550"


@pytest.mark.parametrize(
    ("sender", "seen"),
    [
        ("data@acme.example", "Acme & Söhne <data@acme.example>"),
        ("Privacy <data@acme.example>", "Privacy <data@acme.example>"),
    ],
)
def test_a_sender_without_a_name_has_that_of_the_brand(sender: str, seen: str) -> None:
    """A name of its own stays."""
    made = mail.compose(
        LETTER,
        sender=sender,
        recipient="ana@mail.example",
        identifier="ntf_1",
        written_at=WRITTEN_AT,
        language="de",
        brand="Acme & Söhne",
    )
    assert str(made["From"]) == seen
    assert made["Message-ID"] == "<ntf_1@acme.example>"
    assert made["Content-Language"] == "de"
    assert b"From: " in made.as_bytes()
