"""The reference platform: its tables, and the fourteen exporters that the privacy policy names."""
