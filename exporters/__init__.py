"""Source to records: one module per exporter, each reached through its entry point only."""
