"""From batches to members of a volume: pieces, documents, the ledger, and what is withdrawn again."""
