"""The right to work on a slice: claims, leases, and writes under the fence and token of a claim."""
