"""The platform's tables, one module per subject area; `exporters.schema` is the door to all of them."""
