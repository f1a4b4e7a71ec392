"""Records to bytes: one module per format, each reached through its entry point only."""
