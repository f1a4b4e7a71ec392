"""The certificate authorities that this machine trusts: for all requests over HTTPS except those of other libraries."""

from __future__ import annotations

import ssl
from functools import cache


@cache
def trusted_certificates() -> ssl.SSLContext:
    """Return a TLS context with the authorities of this machine, or those of SSL_CERT_FILE and SSL_CERT_DIR.

    httpx alone trusts the list of the package certifi, which lacks the authority of a company. Loading them takes as
    long as several requests: they are loaded once in a process.
    """
    return ssl.create_default_context()
