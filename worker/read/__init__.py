"""From exporters to checked batches and files: deadlines, validation, redaction and the scan."""
