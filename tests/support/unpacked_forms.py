"""What is inside a form, as bytes that a search finds: forms are packed, encoded or spread over pages."""

from __future__ import annotations

import email
import sqlite3
import zipfile
from collections.abc import Iterator
from contextlib import closing
from email.policy import default
from io import BytesIO

import pyarrow.parquet
from pypdf import PdfReader


def inside(name: str, body: bytes) -> Iterator[tuple[str, bytes]]:
    """(path, content) of what a workbook, message, database, PDF or Parquet file contains; nothing of other files."""
    if name.endswith(".xlsx"):
        with zipfile.ZipFile(BytesIO(body)) as book:
            yield from ((f"{name}/{part}", book.read(part)) for part in book.namelist())
    elif name.endswith(".eml"):
        message = email.message_from_bytes(body, policy=default)
        headers = "\n".join(f"{header}: {value}" for header, value in message.items())
        yield f"{name}/text", f"{headers}\n{message.get_content()}".encode()
    elif name.endswith(".sqlite"):
        with closing(sqlite3.connect(":memory:")) as database:
            database.deserialize(body)
            yield f"{name}/rows", "\n".join(database.iterdump()).encode()
    elif name.endswith(".pdf"):
        pdf = PdfReader(BytesIO(body))
        about = "\n".join(f"{key}: {value}" for key, value in (pdf.metadata or {}).items())
        yield f"{name}/text", "\n".join([about, *(page.extract_text() for page in pdf.pages)]).encode()
    elif name.endswith(".parquet"):
        yield f"{name}/rows", repr(pyarrow.parquet.read_table(BytesIO(body)).to_pylist()).encode()
