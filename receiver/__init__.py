"""The receiving provider's side: a transfer is fetched, decrypted, verified, unpacked, and receipted."""
