"""State that workers share about a source: rates and locks in Redis, sealed tokens in the control database."""
