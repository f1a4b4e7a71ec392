"""Proposes a map for a database from its catalogue; a person decides on each column, and nothing else is exported."""
