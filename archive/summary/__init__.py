"""The summary of an archive for people: figures, charts by month, what is missing, what is not delivered, and why."""
