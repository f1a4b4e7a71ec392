"""The rows of the platform's tables, one module per subject area, as stories: a parent and all that hangs on it."""
