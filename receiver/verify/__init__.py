"""Unpacks the verified volumes of an archive into folders."""
