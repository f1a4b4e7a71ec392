"""Bytes to signed volumes, and the verifier that needs nothing but the archive and a JWKS."""
