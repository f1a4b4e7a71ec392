"""Checks of a document format's contract."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from portability.api import Dataset, Document, DocumentFormat, FormatError, Record
from portability.testing.formats import MEDIA_TYPE, SAMPLE, SUFFIX, VALUES
from portability.testing.reading import require

NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}")
CANARY = "canary\ud800"


def check_document_format(form: DocumentFormat, dataset: Dataset, records: Sequence[Record]) -> None:
    """Check that a document format fulfils the contract of `portability.api.DocumentFormat`.

    Args:
        form: the object of its entry point.
        dataset: a dataset that the format knows.
        records: records of that dataset with different keys; each must become at least one document.

    Raises:
        AssertionError: a rule is broken; the text says which, and contains no value.
    """
    if not isinstance(form, DocumentFormat):
        raise AssertionError(f"{type(form).__name__} lacks a member of the protocol DocumentFormat")  # noqa: TRY004  # part of the contract
    require(bool(SUFFIX.fullmatch(form.suffix)), "the suffix must look like .vcon.json")
    require(bool(MEDIA_TYPE.fullmatch(form.media_type)), "the media type must look like application/vcon")
    require(not list(form.documents(SAMPLE, VALUES)), "it makes documents from a dataset that it does not know")
    names: list[str] = []
    for record in records:
        documents = list(form.documents(dataset, record))
        require(bool(documents), f"{dataset.name}: a record gives no document")
        require(
            documents == list(form.documents(dataset, record)), f"{dataset.name}: documents differ between two runs"
        )
        for document in documents:
            _check_document(form, dataset, document)
            names.append(document.name)
        _check_refusals(form, dataset, record)
    require(len({name.casefold() for name in names}) == len(names), f"{dataset.name}: two documents have the same name")


def _check_document(form: DocumentFormat, dataset: Dataset, document: Document) -> None:
    stem = document.name.removesuffix(form.suffix)
    require(stem != document.name, f"{dataset.name}: the name of a document must end with {form.suffix}")
    require(bool(NAME.fullmatch(stem)), f"{dataset.name}: the name of a document must consist of A-Z a-z 0-9 . _ -")
    require(type(document.body) is bytes and bool(document.body), f"{dataset.name}: a document is empty, or not bytes")


def _check_refusals(form: DocumentFormat, dataset: Dataset, record: Record) -> None:
    """Check that a value without representation in the format raises a FormatError that does not repeat it."""
    for changed in _broken(dataset, record):
        try:
            list(form.documents(dataset, changed))
        except FormatError as error:
            require("canary" not in str(error), f"{dataset.name}: an error message contains the value")
        except Exception as error:
            raise AssertionError(f"{dataset.name}: it raises {type(error).__name__} instead of FormatError") from error
        else:
            raise AssertionError(f"{dataset.name}: an invalid value is written")


def _broken(dataset: Dataset, record: Record) -> Iterator[Record]:
    for field in dataset.fields:
        yield {**record, field.name: CANARY}
    yield {**record, "canary": 1}
