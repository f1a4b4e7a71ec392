"""Whether volumes are what their issuer signed, from nothing but the ZIPs and a JWK Set."""
