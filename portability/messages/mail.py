"""Mail: one SMTP server, as configured. Errors contain codes of the protocol, never texts of the server.

TLS is required, except to a server on this machine: `smtps:` from the first byte, `smtp:` by mandatory STARTTLS.
"""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from urllib.parse import unquote, urlsplit

from portability.api.errors import PortabilityError
from portability.messages.smtp_replies import BoundedSmtp, BoundedSmtpOverTls
from portability.setting_values import is_loopback

PORTS = {"smtp": 587, "smtps": 465}
CLOSING = 421
"""The server ends the connection (RFC 5321 section 3.8)."""


class MailError(PortabilityError):
    """A fault of the mail server, or of the network to it."""

    code = "mail_error"


class MailUnavailable(MailError):
    """The server accepts no mail now, or not from us, or the connection was lost; a later attempt may succeed."""

    code = "mail_unavailable"
    retryable = True
    default_hint = "check host, port, encryption and account in PORTABILITY_SMTP_URL; see docs/mail.md"


class MailDeferred(MailUnavailable):
    """The server defers one recipient, as a full mailbox or greylisting; it takes other mails of the connection."""

    code = "mail_deferred"
    default_hint = "the mail is sent again; if it is urgent, contact the person in another way"


class MailRefused(MailError):
    """The server refuses this mail permanently: it does not know the recipient, or does not want the message."""

    code = "mail_refused"


@dataclass(frozen=True, slots=True)
class Letter:
    """The content of one mail, as text and as HTML."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class MailServer:
    """The server that takes the mail, and the account to use."""

    host: str
    port: int
    implicit_tls: bool
    starttls: bool
    user: str | None
    password: str | None = field(repr=False)

    @classmethod
    def of(cls, url: str) -> MailServer:
        """Make it from PORTABILITY_SMTP_URL, which the settings have checked."""
        parts = urlsplit(url)
        user, password = (None if part is None else unquote(part) for part in (parts.username, parts.password))
        implicit = parts.scheme == "smtps"
        port = parts.port or PORTS[parts.scheme]
        return cls(parts.hostname or "", port, implicit, not implicit and not is_loopback(url), user, password)


@contextmanager
def session(server: MailServer, timeout_seconds: float) -> Iterator[smtplib.SMTP]:
    """Open a connection, with greeting, encryption and login done. Raises MailUnavailable."""
    smtp: smtplib.SMTP | None = None
    try:
        smtp = _open(server, timeout_seconds)
        yield smtp
    finally:
        if smtp is not None:
            with suppress(smtplib.SMTPException, OSError):
                smtp.quit()
            smtp.close()


def compose(
    letter: Letter,
    *,
    sender: str,
    recipient: str,
    identifier: str,
    written_at: datetime,
    language: str,
    brand: str | None = None,
) -> EmailMessage:
    """Make the message of a letter in a language; `brand` is the sender's name if `sender` has no name.

    Its Message-ID is the same each time, so that a duplicate is recognised.

    Raises: MailRefused for an invalid address; an address with a line break cannot forge a header.
    """
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    address = _address(message)
    if brand and not address.display_name:
        message.replace_header("From", Address(brand, addr_spec=address.addr_spec))
    message["To"] = _checked(recipient)
    message["Subject"] = letter.subject
    message["Date"] = format_datetime(written_at)
    message["Message-ID"] = f"<{identifier}@{_address(message).domain}>"
    # Prevents automatic replies such as holiday notices (RFC 3834).
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "All"
    message.set_content(letter.text)
    message.add_alternative(letter.html, subtype="html")
    # After the content, which takes the headers about content with it; for screen readers and translations (RFC 3282).
    message["Content-Language"] = language
    return message


def send(smtp: smtplib.SMTP, message: EmailMessage) -> None:
    """Hand over one message; if no error is raised, the server has accepted it.

    Raises: MailRefused if the server will never accept it; MailUnavailable for everything else, also if it is
    unknown whether the server has accepted it: it is then sent again.
    """
    recipient = message["To"].addresses[0].addr_spec
    with _named("does not accept a mail"):
        try:
            smtp.send_message(message, _address(message).addr_spec, [recipient])
        except smtplib.SMTPRecipientsRefused as refused:
            code, _text = refused.recipients[recipient]
            raise _refusal(code, "recipient", MailUnavailable if code == CLOSING else MailDeferred) from None
        except smtplib.SMTPDataError as refused:
            raise _refusal(refused.smtp_code, "message") from None
        except smtplib.SMTPNotSupportedError:
            raise MailRefused("the mail server does not support addresses with non-ASCII characters") from None


def _checked(recipient: str) -> Address:
    # The library refuses mailboxes with other letters than ASCII, which servers with SMTPUTF8 take (RFC 6531).
    plain = "".join("x" if not letter.isascii() and letter.isprintable() else letter for letter in recipient)
    try:
        address = Address(addr_spec=plain)
    except (ValueError, IndexError, HeaderParseError):
        raise MailRefused("the recipient's address is not a valid mail address") from None
    if not address.username or not address.domain:
        raise MailRefused("the recipient's address is not a valid mail address")
    if plain == recipient:
        return address
    mailbox, _, domain = recipient.rpartition("@")
    return Address(username=mailbox, domain=domain)


def _open(server: MailServer, timeout_seconds: float) -> smtplib.SMTP:
    tls = ssl.create_default_context()
    # A password is looked at only where the login was refused: before that, host, port or certificate are wrong.
    with _named("does not answer as a mail server"):
        if server.implicit_tls:
            smtp: smtplib.SMTP = BoundedSmtpOverTls(server.host, server.port, timeout=timeout_seconds, context=tls)
        else:
            smtp = BoundedSmtp(server.host, server.port, timeout=timeout_seconds)
    try:
        with _named("does not answer as a mail server"):
            smtp.ehlo_or_helo_if_needed()
        if server.starttls:
            with _named("fails at STARTTLS"):
                smtp.starttls(context=tls)
                smtp.ehlo()
        if server.user:
            with _named("refuses the login"):
                smtp.login(server.user, server.password or "")
    except BaseException:
        smtp.close()
        raise
    return smtp


@contextmanager
def _named(fault: str) -> Iterator[None]:
    try:
        yield
    except smtplib.SMTPResponseException as error:
        raise MailUnavailable(f"the mail server {fault}: {type(error).__name__} {error.smtp_code}") from None
    except (smtplib.SMTPException, OSError, ssl.SSLError) as error:
        raise MailUnavailable(f"the mail server {fault}: {type(error).__name__}") from None


def _refusal(code: int, what: str, for_now: type[MailUnavailable] = MailUnavailable) -> MailError:
    kind = MailRefused if str(code).startswith("5") else for_now
    return kind(f"the mail server refuses the {what}: {code}")


def _address(message: EmailMessage) -> Address:
    address: Address = message["From"].addresses[0]
    return address
