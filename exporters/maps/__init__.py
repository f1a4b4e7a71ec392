"""Maps: files that declare a source, what of it is exported and why the rest is not; checked with line and column."""
