"""Signals: whether the work goes on, and whether the services and processes that it needs are there, as metrics."""
