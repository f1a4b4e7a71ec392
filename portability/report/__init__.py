"""The report of the privacy officer: figures of requests, decisions and sources by month, without any person."""
