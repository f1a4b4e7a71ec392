"""What people who work on requests keep and use: notes, saved lists, colleagues, and texts for usual answers."""
