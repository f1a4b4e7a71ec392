"""State that all workers of a deployment share about a source: rates and locks in Redis, tokens in the control database."""
