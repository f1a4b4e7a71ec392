"""The engine that reads tables of SQLite and PostgreSQL: named columns, keyset batches, whole columns."""
