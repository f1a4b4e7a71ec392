"""Sources of the kind `sql`: a map becomes tables, row filters and identities of the engine for SQL."""
