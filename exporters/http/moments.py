"""Times in answers, by the format of the map. What a source writes for a time that is not set counts as null."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from exporters.maps import times
from exporters.maps.forms import TimesForm


class SourceMoments:
    """Reads the times of a source."""

    def __init__(self, form: TimesForm) -> None:
        self._form = form
        self._texts = frozenset(map(str, form.unset))
        self._moments = frozenset(filter(None, map(self._parsed_or_none, form.unset)))

    def is_unset(self, value: Any) -> bool:  # noqa: ANN401  # any JSON value
        """Return whether a value is one of `unset`: as a number where times are counted, else as a text."""
        return times.is_unset(value, self._form.format, self._texts)

    def is_no_time(self, value: Any) -> bool:  # noqa: ANN401  # as above
        """Return whether a value is null, an empty text or one of `unset`, in any spelling of a time."""
        try:
            return not self.read(value)
        except ValueError:  # such as true
            return False

    def read(self, value: Any) -> datetime | None:  # noqa: ANN401  # as above
        """Return a time in UTC; None for null, an empty text and one of `unset`, in any spelling. Raises ValueError."""
        if value in (None, "") or self.is_unset(value):
            return None
        found = times.parse(value, self._form.format, self._form.zone)
        return None if found in self._moments else found

    def _parsed_or_none(self, value: int | str) -> datetime | None:
        try:
            return times.parse(value, self._form.format, self._form.zone)
        except ValueError:  # such as `never`: it is compared as a text
            return None
