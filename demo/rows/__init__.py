"""The rows of the platform's tables, one module per subject area: each story is a parent row with all its children."""
