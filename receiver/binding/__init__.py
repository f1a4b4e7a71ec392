"""Binds an import to one target: which columns may be imported, and which local row each record becomes."""
