"""Remembers imports in the target database: runs, the map of ids, and the encrypted journal that can undo an import."""
