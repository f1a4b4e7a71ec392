"""Fetches a transfer from its sender: the offer, the statement, the download, decryption, and the receipt."""
