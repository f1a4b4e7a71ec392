"""The HTTP API `/v1`, and the addresses that machines read without a login."""
