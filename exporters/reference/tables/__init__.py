"""The platform's tables, one module per subject area; `exporters.reference.schema` exports all of them."""
