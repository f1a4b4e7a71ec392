"""Mail: one SMTP server, as the settings name it. Errors hold codes of the protocol, never what a server wrote.

TLS always, but for a server on this machine: `smtps:` from the first byte, `smtp:` by STARTTLS, which is demanded.
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

from portability.errors import PortabilityError
from portability.setting_values import is_loopback

PORTS = {"smtp": 587, "smtps": 465}


class MailError(PortabilityError):
    """The mail server's fault, or the network's between."""

    code = "mail_error"


class MailUnavailable(MailError):
    """It takes no mail now, or not from us, or was lost before it said so; trying later may help."""

    code = "mail_unavailable"
    retryable = True
    default_hint = "check PORTABILITY_SMTP_URL with `portability doctor`"


class MailRefused(MailError):
    """It does not take this mail, and will not: the recipient is unknown there, or the message unwanted."""

    code = "mail_refused"


@dataclass(frozen=True, slots=True)
class Letter:
    """What one mail says, in both forms."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class Server:
    """Where mail is handed over, and as whom."""

    host: str
    port: int
    implicit_tls: bool
    starttls: bool
    user: str | None
    password: str | None = field(repr=False)

    @classmethod
    def of(cls, url: str) -> Server:
        """From PORTABILITY_SMTP_URL, whose shape the settings have checked."""
        parts = urlsplit(url)
        user, password = (None if part is None else unquote(part) for part in (parts.username, parts.password))
        implicit = parts.scheme == "smtps"
        port = parts.port or PORTS[parts.scheme]
        return cls(parts.hostname or "", port, implicit, not implicit and not is_loopback(url), user, password)


@contextmanager
def session(server: Server, timeout_seconds: float) -> Iterator[smtplib.SMTP]:
    """A connection that is greeted, encrypted and logged in. Raises MailUnavailable."""
    smtp: smtplib.SMTP | None = None
    try:
        with _named("does not let us in"):
            smtp = _open(server, timeout_seconds)
        yield smtp
    finally:
        if smtp is not None:
            with suppress(smtplib.SMTPException, OSError):
                smtp.quit()
            smtp.close()


def compose(letter: Letter, *, sender: str, recipient: str, identifier: str, written_at: datetime) -> EmailMessage:
    """The message of a letter. Its Message-ID is the same whenever it is composed: a second copy is seen to be one.

    Raises: MailRefused for an address that is none; one with a line break in it can make no header.
    """
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = _checked(recipient)
    message["Subject"] = letter.subject
    message["Date"] = format_datetime(written_at)
    message["Message-ID"] = f"<{identifier}@{_address(message).domain}>"
    # Nobody's holiday notice answers it (RFC 3834).
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "All"
    message.set_content(letter.text)
    message.add_alternative(letter.html, subtype="html")
    return message


def send(smtp: smtplib.SMTP, message: EmailMessage) -> None:
    """Hand over one message; returned without an error, the server has taken it.

    Raises: MailRefused where the server will never take it; MailUnavailable for whatever else, also where it is
    unknown whether the server has taken it: then it is sent again.
    """
    recipient = message["To"].addresses[0].addr_spec
    with _named("does not take a mail"):
        try:
            smtp.send_message(message, _address(message).addr_spec, [recipient])
        except smtplib.SMTPRecipientsRefused as refused:
            code, _text = refused.recipients[recipient]
            raise _refusal(code, "recipient") from None
        except smtplib.SMTPDataError as refused:
            raise _refusal(refused.smtp_code, "message") from None
        except smtplib.SMTPNotSupportedError:
            raise MailRefused("the mail server does not know addresses beyond ASCII") from None


def _checked(recipient: str) -> Address:
    try:
        address = Address(addr_spec=recipient)
    except (ValueError, IndexError, HeaderParseError):
        raise MailRefused("the recipient's address is not one") from None
    if not address.username or not address.domain:
        raise MailRefused("the recipient's address is not one")
    return address


def _open(server: Server, timeout_seconds: float) -> smtplib.SMTP:
    tls = ssl.create_default_context()
    if server.implicit_tls:
        smtp: smtplib.SMTP = smtplib.SMTP_SSL(server.host, server.port, timeout=timeout_seconds, context=tls)
    else:
        smtp = smtplib.SMTP(server.host, server.port, timeout=timeout_seconds)
    try:
        smtp.ehlo_or_helo_if_needed()
        if server.starttls:
            smtp.starttls(context=tls)
            smtp.ehlo()
        if server.user is not None:
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


def _refusal(code: int, what: str) -> MailError:
    kind = MailRefused if str(code).startswith("5") else MailUnavailable
    return kind(f"the mail server refuses the {what}: {code}")


def _address(message: EmailMessage) -> Address:
    address: Address = message["From"].addresses[0]
    return address
