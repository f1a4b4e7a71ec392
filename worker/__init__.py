"""The pipeline: from a claimed export to the next volume of its archive."""
