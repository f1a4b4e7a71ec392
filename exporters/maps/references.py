"""References to secrets in maps and sections: the same as in settings of plug-ins."""

from __future__ import annotations

from portability.api.references import FORMS, is_reference, resolve

__all__ = ["FORMS", "is_reference", "resolve"]
