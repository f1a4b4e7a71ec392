"""Traces for OpenTelemetry: what an export spends its time on, from the request to the download."""
