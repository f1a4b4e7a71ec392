"""Records and files to signed volumes."""
