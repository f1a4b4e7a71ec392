"""Values of HTTP sources: templates, expressions, times and types, without a source."""

from __future__ import annotations

import tracemalloc
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import jmespath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.http import bodies, templates
from exporters.http.columns import column_reader
from exporters.http.context import fitting
from exporters.http.expressions import find
from exporters.http.forms import HttpFieldForm, KeepForm, PageForm, RequestForm
from exporters.http.listing import Listing, ListItem, ListPart, SourcePage
from exporters.http.matching import id_text, is_same, kept
from exporters.http.paging import size
from exporters.http.places import from_cursor, to_cursor
from exporters.http.rates import parse_rate
from exporters.http.templates import UnsafeValue, fill, fill_body, fill_params, fill_path
from exporters.http.values import converter
from exporters.maps import times
from exporters.maps.forms import TimesForm
from portability.api import FieldType, Rate
from portability.api.errors import SourceRefused

HOSTILE = st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=320)


@given(HOSTILE)
def test_a_quoted_value_is_one_word_of_its_grammar(value: str) -> None:
    """Whatever the value is: a reader of the grammar finds one quoted text, with exactly this value."""
    filled = fill(r"name={x|quoted:'\}", {"x": value})
    inner, at, read = filled.removeprefix("name='"), 0, ""
    while inner[at] != "'":
        at += inner[at] == "\\"
        read += inner[at]
        at += 1

    assert (read, at) == (value, len(inner) - 1)


@given(HOSTILE)
def test_a_path_stays_below_its_beginning(value: str) -> None:
    """A value is one segment of a path, or is refused."""
    try:
        path = fill_path("/users/{x}/tickets", {"x": value})
    except UnsafeValue:
        return
    assert path.count("/") == 3
    assert path.isascii()


@pytest.mark.parametrize("value", ["", ".", "..", "a/../b", "..\\b", "a\nb", "a\0b"])
def test_a_value_that_leads_elsewhere_is_refused(value: str) -> None:
    """No value of a source or subject changes the path that is called."""
    with pytest.raises(UnsafeValue):
        fill_path("/users/{x}", {"x": value})


def test_filters() -> None:
    """Each filter quotes for its grammar."""
    names = {"x": 'It\'s "A"', "n": "12", "mail": " Ann@Example.test", "ids": ["1", "2"]}

    assert fill("a {x|json} b", names) == 'a "It\'s \\"A\\"" b'
    assert fill("a {x|soql} b", names) == "a 'It\\'s \"A\"' b"
    assert fill('a {x|quoted:""} b', names) == 'a "It\'s ""A""" b'
    assert fill("/q?{x|query}", names) == "/q?It%27s%20%22A%22"
    assert fill("id>{n|int}", names) == "id>12"
    assert fill("m/{mail|md5}", names) == "m/" + fill("{mail|md5}", {"mail": "ann@EXAMPLE.test"})
    assert fill("{mail|fold}", names) == " ann@example.test"
    assert fill("tel {mail|digits}.", {"mail": "+49 (30) 1"}) == "tel 49301."
    with pytest.raises(UnsafeValue):
        fill("id>{n|int}", {"n": "1 or 1=1"})
    assert fill_body({"in": "{ids|objects:id}", "a": ["{none}", 5, True]}, names) == {
        "in": [{"id": "1"}, {"id": "2"}],
        "a": [5, True],
    }
    assert fill_params({"ids": "{ids}", "no": "{none}", "yes": "1"}, names) == {"ids": "1,2", "yes": "1"}
    assert list(templates.names_in('{"field": {x|json}, "y": {a.b}}')) == ["x", "a.b"]


@pytest.mark.parametrize("expression", ["a", "a.b", "a.b.c", '"a"."b"', "a.b[0]", "a | b"])
@pytest.mark.parametrize(
    "value", [{"a": {"b": {"c": 1}}}, {"a": {"b": [2]}}, {"a": "text"}, {"a": None}, {}, [], "a", None]
)
def test_names_alone_are_found_as_jmespath_finds_them(expression: str, value: Any) -> None:
    """A path of names is followed without the interpreter, also through texts, lists and null."""
    assert find(expression, value) == jmespath.search(expression, value)


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("items[?r == `0.1`].id", [1]),
        ("items[?r != `0.1`].id", [2, 3]),
        ("items[?r <= `0.1`].id", [1]),
        ("items[?r == `1`].id", [3]),
        ("items[?contains(`[0.1, 0.3]`, r)].id", [1, 2]),
        ('items[?o == `{"x": [0.1]}`].id', [1]),
    ],
)
def test_a_number_of_an_expression_is_equal_to_that_of_an_answer(expression: str, found: list[int]) -> None:
    """Both have the digits that are written: the double 0.1 is another number than the decimal 0.1."""
    body = b'{"items": [{"id": 1, "r": 0.10, "o": {"x": [0.1]}}, {"id": 2, "r": 0.3}, {"id": 3, "r": 1.0}]}'
    assert find(expression, bodies.parsed(body, "items")) == found


def test_functions_of_expressions() -> None:
    """The seven own functions; null stays null, and a value of another type is a fault without the value."""
    item = {"t": "a; b;;c", "b": "aMOk\nIQ==", "n": "+49 30/12", "e": "1790848800", "m": "Ann@X.test", "z": None}

    assert find("split(t, ';')", item) == ["a", "b", "c"]
    assert find("split(z, ';')", item) == []
    assert find("base64(b)", item) == "hä!"
    assert find("digits(n)", item) == "493012"
    assert find("epoch(e)", item) == "2026-10-01T10:00:00Z"
    assert find("fold(m)", item) == "ann@x.test"
    assert find("md5(m)", item) == find("md5(fold(m))", item)
    assert find("replace(t, ';', '-')", item) == "a- b--c"
    assert [find(f"{name}(z)", item) for name in ("base64", "digits", "epoch", "fold", "md5")] == [None] * 5
    with pytest.raises(ValueError, match=r"^epoch\(t\): ValueError$"):
        find("epoch(t)", item)
    with pytest.raises(ValueError, match="JMESPathTypeError"):
        find("split(@, ';')", item)


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        ("x", FieldType.STRING, "x"),
        (7, FieldType.STRING, "7"),
        (Decimal("1.50"), FieldType.STRING, "1.50"),
        ("12", FieldType.INTEGER, 12),
        (Decimal("12.0"), FieldType.INTEGER, 12),
        ("", FieldType.INTEGER, None),
        (Decimal("0.1"), FieldType.NUMBER, 0.1),
        (Decimal("1E+2"), FieldType.DECIMAL, "100"),
        ("10.10", FieldType.DECIMAL, "10.10"),
        ("true", FieldType.BOOLEAN, True),
        (0, FieldType.BOOLEAN, False),
        ("2026-10-01T10:00:00Z", FieldType.DATE, "2026-10-01"),
        ({"a": [Decimal("0.5"), None]}, FieldType.OBJECT, {"a": [0.5, None]}),
        (None, FieldType.DATETIME, None),
    ],
)
def test_values_get_their_declared_type(value: Any, kind: FieldType, expected: Any) -> None:
    """Numbers in texts, texts of numbers, and exact decimals."""
    assert converter(kind, TimesForm())(value) == expected


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ({}, FieldType.STRING),
        (True, FieldType.STRING),
        ("\ud800", FieldType.STRING),
        ("x", FieldType.INTEGER),
        (Decimal("1.5"), FieldType.INTEGER),
        (True, FieldType.INTEGER),
        ("nan", FieldType.NUMBER),
        ("Infinity", FieldType.DECIMAL),
        ("yes", FieldType.BOOLEAN),
        ("1.10.2026", FieldType.DATE),
        ("yesterday", FieldType.DATETIME),
        (["\ud800"], FieldType.OBJECT),
    ],
)
def test_a_value_of_another_type_is_a_fault(value: Any, kind: FieldType) -> None:
    """Nothing is guessed: such a value becomes null, with a gap."""
    with pytest.raises(ValueError, match=r"it is not|surrogates"):
        converter(kind, TimesForm())(value)


def test_times_are_written_as_they_are_read() -> None:
    """The bounds of a window in each format."""
    moment = datetime(2026, 10, 1, 10, tzinfo=UTC)
    for form in (*times.FORMATS, "pattern:%Y-%m-%d %H:%M:%S"):
        assert times.parse(times.write(moment, form, "Asia/Jakarta"), form, "Asia/Jakarta") == moment


NEVER = TimesForm(unset=(0, "1970-01-01T00:00:00Z", "never"))


@pytest.mark.parametrize(
    ("kind", "form", "value", "expected"),
    [
        (FieldType.DATETIME, NEVER, "1970-01-01T00:00:00Z", None),
        (FieldType.DATETIME, NEVER, "1970-01-01T01:00:00.000+01:00", None),
        (FieldType.DATETIME, NEVER, "never", None),
        (FieldType.DATETIME, NEVER, 0, None),
        (FieldType.DATETIME, NEVER, "1970-01-01T00:00:01Z", "1970-01-01T00:00:01.000000Z"),
        (FieldType.DATETIME, TimesForm(), "1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000000Z"),
        (FieldType.DATETIME, TimesForm(format="epoch_seconds", unset=(0, -1)), "0.0", None),
        (FieldType.DATETIME, TimesForm(format="epoch_ms", unset=(0,)), Decimal(0), None),
        (FieldType.DATETIME, TimesForm(format="epoch_ms"), 0, "1970-01-01T00:00:00.000000Z"),
        (FieldType.DATE, NEVER, "1970-01-01T00:00:00Z", None),
        (FieldType.DATE, NEVER, "1970-01-01", "1970-01-01"),  # a birthday
        (FieldType.DATE, TimesForm(format="epoch_seconds", unset=(0,)), 0, None),
        (FieldType.STRING, NEVER, "never", "never"),
        (FieldType.INTEGER, NEVER, 0, 0),
    ],
)
def test_a_time_that_is_not_set(kind: FieldType, form: TimesForm, value: object, expected: object) -> None:
    """A vendor that writes the begin of 1970 for `never` says so in `unset`; in a column of a page, too."""
    assert converter(kind, form)(value) == expected
    reader = column_reader("n", HttpFieldForm(text="A value.", type=kind), form)
    values, faulty = reader([{"n": value}, {"n": None}], {})
    assert ([*values], [*faulty]) == ([expected, None], [])


def test_conditions() -> None:
    """Equal, among, empty, and the value of a parent; ids are equal as number and as text."""
    item: dict[str, Any] = {"id": 5, "kind": "a", "none": None, "list": ["x", "y"]}

    def fits(**condition: Any) -> bool:
        return list(kept([KeepForm(**condition)], [item], {"id": "5"})) == [0]

    assert fits(at="id", equals="5")
    assert fits(at="id", equals="parent:id")
    assert fits(at="kind", among=("a", "b"))
    assert fits(at="list", equals="y")
    assert fits(at="none", empty=True)
    assert not fits(at="kind", empty=True)
    assert not fits(at="none", equals="parent:no")


def test_identities_are_compared_by_their_kind() -> None:
    """Addresses by their normal form, numbers by all digits, everything else as it is."""
    assert is_same("email", "ann@example.test", "ANN@EXAMPLE.TEST")
    assert not is_same("email", "ann@example.test", "a\u0144n@example.test")
    assert is_same("phone", "+4930123456", 4930123456)
    assert not is_same("phone", "+4930123456", 30123456)
    assert is_same("id", "7", 7)
    assert not is_same("id", "a", "A")
    assert not is_same("id", "True", True)  # a JSON value


def test_rates() -> None:
    """Calls within some seconds."""
    assert parse_rate("x", "8/s") == Rate("x", 8, 1)
    assert parse_rate("x", "100/10s") == Rate("x", 100, 10)
    assert parse_rate("x", "2000/min") == Rate("x", 2000, 60)


@given(st.lists(st.integers(0, 50), unique=True), st.integers(1, 7), st.lists(st.integers(0, 2), max_size=9))
def test_a_list_is_given_once_whatever_shifts(ids: list[int], size: int, growth: list[int]) -> None:
    """Pages by number, with records added at the beginning between pages: each record of the beginning comes once."""
    store = [f"r{one}" for one in ids]
    added, growing = iter(range(1000)), iter(growth)

    def fetch(_part: ListPart, place: Any) -> SourcePage:
        page = int(place or 1)
        found = store[size * (page - 1) : size * page]
        if found:
            store[:0] = [f"n{next(added)}" for _ in range(next(growing, 0))]
        return SourcePage([ListItem(one, one) for one in found], page + 1 if found else None)

    form = RequestForm(get="/x", page=PageForm(kind="number", until_empty=True))
    pages = list(Listing([ListPart(("", 0, ""), form, {})], fetch, "x", 1000).pages())
    given_once = [item.key for page in pages for item in page.items]

    assert [one for one in given_once if one.startswith("r")] == [f"r{one}" for one in ids]
    assert len(given_once) == len(set(given_once))
    for page in pages[:-1]:
        assert page.after is not None
        assert from_cursor(to_cursor((page.after,)), "x") == (page.after,)


@pytest.mark.parametrize(
    ("kind", "digits", "exported"),
    [
        ("decimal", "12345678901234567.89", "12345678901234567.89"),
        ("decimal", "1e5", "100000"),
        ("decimal", "1e999999999", None),
        ("decimal", "1e-999999999", None),
        ("integer", "5e2", 500),
        ("integer", "1e999999999", None),
        ("number", "0.1", 0.1),
        ("number", "9007199254740993", None),
        ("number", "9007199254740992", 9007199254740992.0),
        ("number", "1e400", None),
        ("number", "1e-400", None),
        ("object", '{"a": [1e400, 12345678901234567.89, 0.5]}', {"a": ["1E+400", "12345678901234567.89", 0.5]}),
        ("object", '{"a\\ud800": 1}', None),
    ],
)
def test_numbers_keep_their_digits_or_are_a_gap(kind: str, digits: str, exported: Any) -> None:
    """A value that its type cannot represent is null with a gap; an object has it as a text. None fills the memory."""
    (value,) = bodies.parsed(f"[{digits}]".encode(), "numbers")
    reader = column_reader("n", HttpFieldForm(text="A number.", type=FieldType(kind)), TimesForm())

    values, faulty = reader([{"n": value}, {"n": None}], {})

    assert (values, list(faulty)) == ([exported, None], [0] if exported is None else [])
    assert type(values[0]) is type(exported)


@pytest.mark.parametrize("body", ['{"id": 1, "id": 2}', '[{"a": {"k": "x", "k": "y"}}]', "[1e-99999999999999999999]"])
def test_an_answer_that_readers_read_differently_is_refused(body: str) -> None:
    """Python would keep one of two values of a name without a word, and end at an exponent of 20 digits."""
    with pytest.raises(SourceRefused):
        bodies.parsed(body.encode(), "twice")


@pytest.mark.parametrize("written", ["1e9999", "-1e9999"])
@pytest.mark.parametrize("expression", ["ceil(a)", "floor(a)"])
def test_no_integer_is_made_of_a_number_that_would_fill_the_memory(expression: str, written: str) -> None:
    """Python makes all its digits, and no other thread runs meanwhile."""
    with pytest.raises(ValueError, match="ValueError"):
        find(expression, {"a": Decimal(written)})


def test_a_total_that_would_fill_the_memory_is_refused() -> None:
    """It is not written out: as a text it has a byte for each of its digits, and twice as many meanwhile."""
    form, answer = PageForm(kind="number", total="total", until_empty=True), {"total": "1e999999"}
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="the `total` of `page` is not a number"):
            size(form, answer)
        assert tracemalloc.get_traced_memory()[1] < 500_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("written", ["1e999999999", "-1e999999999", "9007199254740993.0"])
def test_a_number_that_is_no_id_is_refused(written: str) -> None:
    """Nothing is computed with it: its exponent may be larger than that of any result."""
    assert not id_text(Decimal(written))


def test_a_number_with_which_nothing_is_computed_is_no_fault_of_the_software() -> None:
    """What a source writes is at fault, and is named."""
    with pytest.raises(SourceRefused, match="crm: an answer has another form than the map says"), fitting("crm"):
        Decimal("1e999999") * Decimal("1e999999")
