"""The reference importer: an unpacked archive into the platform's reference schema (docs/importing.md)."""
