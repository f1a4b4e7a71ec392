"""Guesses from the name and type of a column what it contains. A guess is a proposal to a person, never a decision."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, LargeBinary, String
from sqlalchemy.types import NullType, TypeEngine


class Guess(StrEnum):
    """What a column seems to contain."""

    SECRET = "secret"
    """A password, token, key or code that would let another person act as the subject."""
    FREE_TEXT = "free_text"
    """Text that a person wrote, or a value of any structure: it may be about other people."""
    PERSONAL = "personal"
    """Describes a person: a name, an address, a device, a place."""
    BINARY = "binary"
    """Bytes, which no field can have."""
    OTHER = "other"


_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")

_SECRET_STEMS = (
    *("password", "passwd", "passphrase", "passwort", "kennwort", "katasandi", "motdepasse", "contrasena"),
    *("secret", "credential", "apikey", "privatekey", "accesskey", "secretkey", "sessionid", "sessionkey", "csrf"),
    *("authtoken", "accesstoken", "refreshtoken", "recoverycode", "backupcode", "cardnumber", "securitycode"),
    *("securityanswer", "securityquestion", "pushkey", "keydata", "sessiondata", "magiclink", "signingkey"),
    *("encryptionkey", "encrypted", "ciphertext", "verificationcode", "verificationkey", "activationkey"),
    *("activationcode", "confirmationcode", "resetcode", "resetkey", "invitationcode", "onetime", "signedurl"),
    *("authorization", "registrationid", "ccnum"),
)
"""Parts of a name, without separators, that no harmless column has."""
_SECRET_WORDS = frozenset(
    "pwd pass token tokens salt otp totp hotp mfa cvv cvc cvn csc pin jwt nonce cookie cookies oauth seed".split()
)
_KEY_BEFORE = frozenset("api auth access private signing session ssh encryption recovery hmac webhook client signature".split())
"""Words before `key` that make it a secret; `primary_key` and `foreign_key` are not."""

_FREE_WORDS = frozenset(
    "note notes comment comments message messages body text texts content contents description descriptions remark "
    "remarks memo bio about summary transcript feedback review reviews answer answers question reason details detail "
    "subject story caption reply signature snippet payload metadata meta extra data properties attributes context "
    "notiz notizen bemerkung bemerkungen beschreibung kommentar nachricht catatan komentar pesan isi keterangan".split()
)
_PERSONAL_STEMS = (
    *("email", "phone", "firstname", "lastname", "fullname", "surname", "nickname", "username", "displayname"),
    *("realname", "maidenname", "birth", "street", "postcode", "postalcode", "zipcode", "passport", "nationality"),
    *("useragent", "ipaddr", "latitude", "longitude", "mailaddress", "recipient", "linkedin", "facebook", "twitter"),
    *("instagram", "whatsapp", "telegram", "vorname", "nachname", "strasse", "telefon", "anschrift", "alamat"),
)
_PERSONAL_WORDS = frozenset(
    "mail mobile tel fax msisdn sms skype address city town village county province country region district four marital "
    "zip dob age gender sex title salutation prefix suffix language locale timezone ssn nik npwp vat iban bic bank "
    "account_holder ip device agent geo gps lat lon lng location place avatar photo picture portrait image face voice "
    "voiceprint biometric salary income religion marital ethnicity health diagnosis employer company organisation "
    "organization department job occupation caller called callee visitor sender author holder payer payee beneficiary "
    "vendor website url homepage handle login contact customer guest nama lahir telepon kelamin agama name "
    "line1 line2 line3 line4 lines geburtsdatum ort plz land firma anrede prenom nom adresse".split()
)
_NAME_OF_THINGS = frozenset(
    "file table model event queue task job role group permission app field column type status tag category product "
    "plan class method action host server domain bucket template index module content schema currency feature flag "
    "option attribute code template stage pipeline board list campaign form report view rule source channel".split()
)
"""Words before `name` that name a thing and not a person."""
_PLAIN_FIRST = frozenset("is has can was should allow allows enable enabled show num n max min total".split())
_PLAIN_LAST = frozenset(
    "at on date time type kind count counts bytes size length version algorithm format verified used enabled expires "
    "expiry expire expired id ids rate status state_id seconds minutes hours days ttl attempts position order".split()
)


def words(name: str) -> tuple[str, ...]:
    """Return the words of a name in lower case: `LastLoginIp2` and `last_login_ip2` give the same."""
    return tuple(word.lower() for word in _WORD.findall(name))


def guess(name: str, kind: TypeEngine[Any]) -> Guess:
    """Guess what a column contains."""
    parts = words(name)
    if not parts:
        return Guess.OTHER
    if _is_secret(parts) and _is_text(kind):
        return Guess.SECRET
    if isinstance(kind, LargeBinary):
        return Guess.BINARY
    if isinstance(kind, JSON) or (isinstance(kind, String) and not _is_plain(parts) and _FREE_WORDS & {*parts}):
        return Guess.FREE_TEXT
    return Guess.PERSONAL if _is_personal(parts) else Guess.OTHER


def _is_text(kind: TypeEngine[Any]) -> bool:
    """Return whether a value may be a text or bytes: numbers, times and truth values are no secrets by their name."""
    return isinstance(kind, String | LargeBinary | JSON | NullType) or kind.__visit_name__.lower() in {"uuid", "bytea"}


def _is_plain(parts: tuple[str, ...]) -> bool:
    return parts[0] in _PLAIN_FIRST or parts[-1] in _PLAIN_LAST


def _is_secret(parts: tuple[str, ...]) -> bool:
    if _is_plain(parts) and parts[-1] != "id":
        return False
    joined = "".join(parts)
    if any(stem in joined for stem in _SECRET_STEMS):
        return True
    if parts[-1] == "id":
        return False
    pairs = zip(parts, parts[1:], strict=False)
    return bool(_SECRET_WORDS & {*parts}) or any(last == "key" and first in _KEY_BEFORE for first, last in pairs)


def _is_personal(parts: tuple[str, ...]) -> bool:
    joined = "".join(parts)
    is_birth = "birth" in joined or "born" in parts or "lahir" in parts
    if _is_plain(parts) and not is_birth and parts[-1] != "id":
        return False
    if parts[-1] == "id":
        return bool({"national", "passport", "tax", "government", "device"} & {*parts})
    if parts[-1] == "name" and _NAME_OF_THINGS & {*parts[:-1]}:
        return False
    if {"tax", "national", "government"} & {*parts} and {"number", "no", "code"} & {*parts}:
        return True
    return is_birth or any(stem in joined for stem in _PERSONAL_STEMS) or bool(_PERSONAL_WORDS & {*parts})
