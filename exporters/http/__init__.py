"""The engine for sources with an HTTP interface: a map declares what is read, and every answer is verified."""
