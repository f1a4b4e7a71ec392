"""Keys in a token with PKCS#11, such as an HSM: `pkcs11:token=NAME;object=LABEL?module-path=FILE&pin-source=FILE`.

The URI is that of RFC 7512. The PIN is in a file that only the processes can read, never in the URI.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from portability.api.errors import BadSetting

HINT = "use pkcs11:token=NAME;object=LABEL?module-path=/path/of/library.so&pin-source=/path/of/pin"


@dataclass(frozen=True, slots=True)
class Pkcs11Key:
    """A key pair of a token, by the label of both halves. Needs the extra `pkcs11`."""

    token: str
    label: str
    module: str
    """The path of the library of the token's maker."""
    pin: Path

    def public_key(self) -> bytes:
        """Return the DER of the public half. Raises errors of the library, OSError."""
        from pkcs11 import ObjectClass  # noqa: PLC0415  # of an extra
        from pkcs11.util.ec import encode_ec_public_key  # noqa: PLC0415  # as above

        def read(session: Any) -> bytes:  # noqa: ANN401  # of a library without types
            return bytes(encode_ec_public_key(session.get_key(object_class=ObjectClass.PUBLIC_KEY, label=self.label)))

        return _library(self.module, os.getpid()).ask(self, read)

    def sign(self, message: bytes) -> bytes:
        """Return 64 bytes. Raises errors of the library, OSError."""
        from pkcs11 import Mechanism, ObjectClass  # noqa: PLC0415  # as above

        def sign(session: Any) -> bytes:  # noqa: ANN401  # as above
            key = session.get_key(object_class=ObjectClass.PRIVATE_KEY, label=self.label)
            return bytes(key.sign(hashlib.sha256(message).digest(), mechanism=Mechanism.ECDSA))

        return _library(self.module, os.getpid()).ask(self, sign)


class _Library:
    """A library in one process, with a session for each of its tokens: a login counts for all sessions of a process."""

    def __init__(self, module: str) -> None:
        self._module = module
        self._lock = threading.Lock()
        self._sessions: dict[str, Any] = {}

    def ask(self, key: Pkcs11Key, what: Callable[[Any], bytes]) -> bytes:
        """Ask a token by its session, which is opened again after an error: the token may have been away."""
        with self._lock:
            if session := self._sessions.get(key.token):
                try:
                    return what(session)
                except Exception:  # noqa: BLE001  # repeated below, by another session
                    self._close()
            session = self._opened(key)
            answer = what(session)
            self._sessions[key.token] = session
            return answer

    def _close(self) -> None:
        for session in self._sessions.values():
            with suppress(Exception):
                session.close()
        self._sessions.clear()

    def _opened(self, key: Pkcs11Key) -> Any:  # noqa: ANN401  # a session of a library without types
        import pkcs11  # noqa: PLC0415  # as above

        library = pkcs11.lib(self._module)
        if not self._sessions:
            # Also in a fork, which has to begin anew (PKCS #11 version 3.1, section 5.4).
            library.reinitialize()
        return library.get_token(token_label=key.token).open(user_pin=key.pin.read_text().strip())


@cache
def _library(module: str, _pid: int) -> _Library:
    """Return the library of this process; a fork gets its own, with an open lock."""
    return _Library(module)


def open_key(uri: str) -> Pkcs11Key:
    """Open the key of a URI. Raises BadSetting, which does not repeat it."""
    parts = urlsplit(uri)
    path = dict(part.partition("=")[::2] for part in parts.path.split(";"))
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    if "pin-value" in query or "pin-value" in path:
        hint = "write it into a file: pin-source=/path/of/pin"
        raise BadSetting("the URI of a PKCS#11 key contains a PIN", hint=hint)
    named = {"token": path.get("token"), "object": path.get("object")}
    wanted = {**named, "module-path": query.get("module-path"), "pin-source": query.get("pin-source")}
    if missing := [name for name, value in wanted.items() if not value]:
        raise BadSetting(f"the URI of a PKCS#11 key lacks {', '.join(missing)}", hint=HINT)
    if unknown := sorted((path.keys() | query.keys()) - wanted.keys()):
        raise BadSetting(f"the URI of a PKCS#11 key has {', '.join(unknown)}, which is not supported", hint=HINT)
    pin = Path(unquote(urlsplit(query["pin-source"]).path))
    return Pkcs11Key(unquote(path["token"]), unquote(path["object"]), query["module-path"], pin)
