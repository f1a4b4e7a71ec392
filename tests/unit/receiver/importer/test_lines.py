"""Numbers in the records of another provider: each is kept, or its record is refused."""

from __future__ import annotations

from decimal import Decimal

import pytest

from receiver.importer.lines import records
from receiver.importer.values import Reason


def number_read(number: str) -> object:
    """What becomes of a record whose free JSON has this number."""
    ((record, _size),) = records([b'{"custom": {"n": ' + number.encode() + b"}}\n"])
    return record if isinstance(record, Reason) else record["custom"]["n"]


@pytest.mark.parametrize(
    "number",
    [
        *("0", "-0", "0.1", "1.0", "1e23", "5e-324", "1.7976931348623157e308", "9007199254740993"),
        *("18446744073709551615", "-9223372036854775808", "123456789012345680000", "1.00000000000000000000"),
        "0.00000000000000000000000000001",
    ],
)
def test_a_number_that_is_kept(number: str) -> None:
    """Also with many digits, if a double or an integer of 64 bits has the same value."""
    assert Decimal(repr(number_read(number))) == Decimal(number)


@pytest.mark.parametrize(
    "number",
    [
        *("18446744073709551617", "-9223372036854775809", "12345678901234567890123", "0.123456789012345678901"),
        *("9007199254740993.25000", "1e-400", "0.100000000000000012", "[" * 300 + "1" * 25 + "]" * 300),
    ],
)
def test_a_number_that_would_be_rounded_is_refused(number: str) -> None:
    """The parser gives another number, without an error."""
    assert number_read(number) is Reason.OUT_OF_RANGE


def test_a_double_with_seventeen_digits_is_a_double() -> None:
    """Programs in C write 0.1 so; read again it is the same double."""
    assert number_read("0.10000000000000001") == 0.1


@pytest.mark.parametrize(
    "text", ["12345678901234567890123", "0.123456789012345678901", "1e-400", "1.2.3.4.5.6.7.8.9.0"]
)
def test_digits_of_a_text_are_not_a_number(text: str) -> None:
    """Nor those of a name."""
    ((record, _size),) = records([f'{{"{text}": "{text}"}}\n'.encode()])
    assert record == {text: text}
