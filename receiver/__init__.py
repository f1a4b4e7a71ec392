"""The other provider's side: a transfer fetched, decrypted, checked, unpacked, and receipted."""
