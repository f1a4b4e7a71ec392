"""Drafts of maps: valid for every catalogue, with a decision about nothing, whatever a database calls its things."""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace

import pytest
from catalogues_made import made_catalogue, made_table
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import BigInteger, Boolean, DateTime, LargeBinary, String
from sqlalchemy.dialects.mysql import ENUM, FLOAT, SET, TINYINT
from sqlalchemy.dialects.postgresql import INTERVAL, JSONB, MONEY
from sqlalchemy.types import TypeEngine

from exporters.maps.reading import MapText
from exporters.sql.catalogue import Catalogue, CatalogueColumn, CatalogueTable, Reference
from exporters.sql.mapped.forms import SqlSourceForm
from exporters.sql.mapped.kind import kind
from exporters.sql.proposal import paths
from exporters.sql.proposal.draft import Proposal, draft
from portability.api import SubjectKind

USER = SubjectKind.USER
USERS = made_table("users", columns=["email", "password_hash", "created_at"])


def drafted(catalogue: Catalogue, tenant: str | None = None) -> str:
    found = paths.find(catalogue, "users", "id", tenant)
    return draft(Proposal(catalogue, found, USER, "CRM"))


def parsed(text: str) -> SqlSourceForm:
    """The form of a draft; a fault of the map fails the test."""
    return kind.parse(MapText("draft.toml", text)).form


def test_every_column_is_undecided_and_has_a_proposal() -> None:
    """No field, nothing withheld, nothing internal: only comments say what a person may take over."""
    text = drafted(made_catalogue(USERS, made_table("orders", {"user_id": "users"}, ["note"])))
    form = parsed(text)

    assert [(one.name, one.undecided, dict(one.fields), dict(one.withheld)) for one in form.dataset] == [
        ("users", ("id", "email", "password_hash", "created_at"), {}, {}),
        ("orders", ("id", "user_id", "note"), {}, {}),
    ]
    assert form.dataset[0].created == "created_at"
    assert '# email = { text = "Email." }  # personal' in text
    assert '# note = { text = "Note.", third_party = true }  # free text' in text
    assert "# password_hash = { what = " in text


def test_a_person_who_takes_a_proposal_has_a_valid_map() -> None:
    """The proposals of a dataset are TOML that fits the form, once `undecided` no longer names their columns."""
    text = drafted(made_catalogue(USERS))
    taken = re.sub(r"undecided = \[\n.*?\n\]\n", "", text, count=1, flags=re.DOTALL)
    begin = taken.index("# [dataset.fields]")
    end = taken.index("[tables]")
    form = parsed(taken[:begin] + re.sub(r"^# ", "", taken[begin:end], flags=re.MULTILINE) + taken[end:])

    assert list(form.dataset[0].fields) == ["id", "email", "created_at"]
    assert list(form.dataset[0].withheld) == ["password_hash"]


def test_an_unclear_path_is_a_comment() -> None:
    """The table is undecided, its dataset is a comment with every path, and so are those that lead through it."""
    messages = made_table("messages", {"sender_id": "users", "receiver_id": "users"})
    text = drafted(made_catalogue(USERS, messages, made_table("files", {"message_id": "messages"})))
    form = parsed(text)

    assert [one.name for one in form.dataset] == ["users"]
    assert form.tables.undecided == ("files", "messages")
    assert '#     { column = "receiver_id", identities = ["user_id"] },' in text
    assert '#     { column = "sender_id", identities = ["user_id"] },' in text
    assert '#     { column = "message_id", dataset = "messages", key = "id" },' in text


def test_a_column_of_a_foreign_key_of_several_is_a_comment() -> None:
    """A person knows whether it names one row alone, as the numbers of GitLab's builds do in all partitions."""
    builds = made_table("builds", {"user_id": "users"}, key=["id", "partition_id"])
    traces = made_table("traces", columns=["build_id", "partition_id"])
    traces = replace(traces, references=(Reference(("partition_id", "build_id"), "builds", ("partition_id", "id")),))
    text = drafted(made_catalogue(USERS, builds, traces))

    assert parsed(text).tables.undecided == ("traces",)
    remark = "one column of a foreign key of several: id alone must name one row"
    assert f'#     {{ column = "build_id", dataset = "builds", key = "id" }},  # {remark}\n' in text


def test_a_table_without_key_is_a_comment() -> None:
    """A view, or a table without a primary key, needs a person who knows what identifies its rows."""
    form = parsed(drafted(made_catalogue(USERS, made_table("log", {"user_id": "users"}, key=()))))

    assert ([one.name for one in form.dataset], form.tables.undecided) == (["users"], ("log",))


def test_a_table_whose_name_has_a_dot_is_a_comment() -> None:
    """A map reads what stands before the dot as a schema: the draft says what to do, and is valid without the table."""
    orders = replace(made_table("shop.orders", {"user_id": "users"}), is_dotted=True)
    text = drafted(made_catalogue(USERS, orders, made_table("lines", {"order_id": "shop.orders"})))

    assert ([one.name for one in parsed(text).dataset], "so a map cannot name it" in text) == (["users"], True)
    assert parsed(text).tables.undecided == ("lines", "shop.orders")


def test_an_address_is_a_question() -> None:
    """An order of a guest has the address of a person and no id: no path shows that it is theirs."""
    orders = made_table("orders", {"user_id": "users"}, ["billing_email", "email_kind_id"])
    letters = made_table("letters", columns=["mail_to"])
    text = drafted(made_catalogue(USERS, orders, letters))

    assert "    # billing_email has addresses, which may be of a person whom no id of the row names\n" in text
    assert '"letters",  # no key and no name leads to the subject; mail_to has addresses, which may be' in text
    assert text.count("has addresses") == 2


@pytest.mark.parametrize("kind", [ENUM("a"), SET("a"), FLOAT(), JSONB()])
def test_a_table_whose_key_has_no_order_is_a_comment(kind: TypeEngine[object]) -> None:
    """A worker refuses the map: such a key is not in the order of its values, or not found again."""
    prefs = made_table("prefs", {"user_id": "users"}, key=["user_id", "kind"])
    prefs = replace(prefs, columns={**prefs.columns, "kind": CatalogueColumn("kind", kind, nullable=False)})
    text = drafted(made_catalogue(USERS, prefs))

    assert parsed(text).tables.undecided == ("prefs",)
    assert "# The type of kind gives no order: `order` must be other columns that are together unique.\n" in text


@pytest.mark.parametrize("kind", [MONEY(), LargeBinary(), INTERVAL(), BigInteger(), String()], ids=repr)
def test_a_key_that_no_id_is_compared_with_has_a_remark(kind: TypeEngine[object]) -> None:
    """A worker refuses the map: who writes it reads so beside the way, and not at the first start."""
    users = replace(USERS, columns={**USERS.columns, "id": replace(USERS.columns["id"], type=kind)})
    is_said = "# the type of users.id is compared with no id: name a view" in drafted(made_catalogue(users))
    assert is_said is not isinstance(kind, BigInteger | String)


def test_a_table_that_others_inherit_from_is_a_comment() -> None:
    """Keys of such tables are their own, so a worker refuses the map, and with it all other tables."""
    orders = replace(made_table("orders", {"user_id": "users"}), is_inherited=True)
    text = drafted(made_catalogue(USERS, orders))

    assert parsed(text).tables.undecided == ("orders",)
    assert "# Tables inherit from it: make a view of all their rows with unique keys, and name that.\n" in text


def test_a_time_of_each_change_is_no_time_of_creation() -> None:
    """The first `timestamp` of a table of MariaDB is such a time by itself, also one that is called `created_at`."""
    created = replace(USERS.columns["created_at"], is_renewed=True)
    text = drafted(made_catalogue(replace(USERS, columns={**USERS.columns, "created_at": created})))

    assert not parsed(text).dataset[0].created
    assert '# created = "created_at": the database sets it again at each change of its row\n' in text


def test_rows_of_what_people_share_have_a_remark() -> None:
    """A file of a company belongs to all of its people by the path, not only to the one of them who uploaded it."""
    members = made_table("members", {"user_id": "users", "company_id": "companies"})
    files = made_table("files", {"company_id": "companies"})
    pages = made_table("pages", {"file_id": "files"})
    text = drafted(made_catalogue(USERS, made_table("companies"), members, files, pages))

    remark = "people share rows of companies: each of them gets these"
    assert f'{{ column = "company_id", dataset = "companies", key = "id" }},  # {remark}\n' in text
    assert f'{{ column = "file_id", dataset = "files", key = "id" }},  # {remark}\n' in text
    assert text.count(remark) == 2


def test_rows_of_a_row_of_the_subject_stand_beside_the_way() -> None:
    """A referral of my animal by another person is found by the animal alone: the shorter way loses it.

    The table `visits` is farther from the subject than the row that names it, so the way may be a circle.
    """
    animals = made_table("animals", {"user_id": "users"})
    referrals = made_table("referrals", {"user_id": "users", "animal_id": "animals", "visit_id": "visits"})
    text = drafted(made_catalogue(USERS, animals, referrals, made_table("visits", {"animal_id": "animals"})))
    rows = text.partition('name = "referrals"')[2].partition("]\n")[0]

    assert '    { column = "user_id", identities = ["user_id"] },\n' in rows
    assert '    # { column = "animal_id", dataset = "animals", key = "id" },\n' in rows
    assert "visit_id" not in rows


@pytest.mark.parametrize(("tenant", "is_list"), [(None, True), ("org_id", False)])
def test_what_people_have_in_common_is_a_question(tenant: str | None, *, is_list: bool) -> None:
    """The animal of a household names no person: without a way through the household no one of it gets the animal.

    With tenants, a table without tenant is a list, such as countries.
    """
    users = made_table("users", {"household_id": "households", "country_id": "countries"}, ["org_id"])
    named = {"user_id": "users", "household_id": "households", "country_id": "countries"}
    animals = made_table("animals", named, ["name"])
    others = made_table("households", columns=["org_id"]), made_table("countries")
    text = drafted(made_catalogue(users, animals, *others), tenant)

    assert "# household_id names a row of households, as household_id of users does: what leads to the subject" in text
    assert ("# country_id names a row of countries, as country_id of users does" in text) is is_list


def test_a_key_to_rows_of_the_own_table_is_a_question() -> None:
    """The addresses below a customer, and the answers to a message: the row above them leads to the subject."""
    users = made_table("users", {"parent_id": "users"}, ["email"])
    messages = made_table("messages", {"user_id": "users", "answer_to": "messages"}, ["message_parent"])
    text = drafted(made_catalogue(users, messages))

    assert '    # { column = "parent_id", identities = ["user_id"] },  # it names another row of users\n' in text
    what = "names another row of messages: what leads to the subject by it is missing"
    assert f"    # answer_to {what}\n" in text
    assert len(parsed(text).dataset) == 2


def test_rows_that_a_row_of_a_person_names_are_a_question() -> None:
    """An address names no person: the person, or the order of the person, names the address."""
    users = made_table("users", {"address_id": "addresses"})
    orders = made_table("orders", {"user_id": "users", "billing_id": "addresses"}, ["note"])
    parts = made_table("parts", {"group_id": "groups"})
    text = drafted(made_catalogue(users, made_table("addresses"), orders, parts, made_table("groups")))

    named = "no key and no name leads to the subject; its rows are named by orders.billing_id, users.address_id"
    assert f'"addresses",  # {named}\n' in text
    assert '"groups",  # no key and no name leads to the subject\n' in text
    assert "    # address_id names a row of addresses, which may be of the subject\n" in text


@pytest.mark.parametrize(
    ("name", "value", "is_pair"),
    [
        ("meta_key", "meta_value", True),
        ("name", "value", True),
        ("configkey", "configvalue", True),
        ("attribute_id", "value", True),
        ("field_id", "value", True),
        ("fieldid", "value", True),
        ("currency", "value", False),
        ("name", "book_value", False),
    ],
)
def test_values_of_any_name_have_a_remark(name: str, value: str, *, is_pair: bool) -> None:
    """`wp_usermeta` has session tokens among its values: who takes the column whole gives them away."""
    text = drafted(made_catalogue(USERS, made_table("facts", {"user_id": "users"}, [name, value])))

    remark = f"values of any {name}, also secrets: list in `where` those that people get"
    assert (remark in text) is is_pair


def test_rows_of_a_company_alone_are_a_comment() -> None:
    """Taken over, the comment is a dataset for exports of a company, without a way to a person."""
    rates = made_table("rates", columns=["org_id", "price"])
    text = drafted(made_catalogue(made_table("users", columns=["org_id"]), rates), "org_id")
    assert '"rates",  # its rows name a company: see above' in text
    comment = text.partition("for exports of a company.\n")[2].partition("\n\n")[0]
    taken = re.sub(r"^# ", "", comment, flags=re.MULTILINE).partition("# [dataset.fields]")[0]
    form = parsed(text.partition("[tables]")[0] + taken)

    assert (form.dataset[1].table, form.dataset[1].tenant, form.dataset[1].rows) == ("rates", "org_id", ())
    assert form.dataset[1].kinds == frozenset({SubjectKind.TENANT})


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("deleted", TINYINT(display_width=1), "deleted"),
        ("is_deleted", Boolean(), "is_deleted"),
        ("deleted_at", DateTime(), "deleted_at"),
        ("deleted", BigInteger(), None),
    ],
)
def test_a_mark_of_deleted_rows_is_a_time_or_a_truth(name: str, kind: TypeEngine[object], expected: str | None) -> None:
    """Rows that the source took for deleted are counted as such; EspoCRM and SuiteCRM mark them by a truth value."""
    users = CatalogueTable(
        "users", {"id": USERS.columns["id"], name: CatalogueColumn(name, kind, True)}, ("id",), (), (), ()
    )
    assert parsed(drafted(Catalogue({"users": users}))).dataset[0].deleted == expected


def test_tables_without_people_are_written_below_the_draft() -> None:
    """Hundreds of tables do not fit on the one line that TOML has for a table within braces: each has a line."""
    form = parsed(drafted(made_catalogue(USERS, made_table("rates"))).replace('"rates",', "") + 'rates = "prices"\n')

    assert (form.tables.internal, form.tables.undecided) == ({"rates": "prices"}, ())


def test_a_tenant_makes_a_processor() -> None:
    """The column that names companies leads to no person."""
    users = made_table("users", {"org_id": "orgs"})
    form = parsed(drafted(made_catalogue(users, made_table("orgs")), "org_id"))

    assert (form.role, form.dataset[0].tenant, form.tables.undecided) == ("processor", "org_id", ("orgs",))


@pytest.mark.parametrize("nullable", [True, False])
def test_a_tenant_that_may_be_missing_has_a_remark(nullable: bool) -> None:
    """The person who decides on the table sees that some of its rows may be of no company."""
    users = made_table("users", {"org_id": "orgs"})
    columns = {**users.columns, "org_id": replace(users.columns["org_id"], nullable=nullable)}
    text = drafted(made_catalogue(replace(users, columns=columns), made_table("orgs")), "org_id")

    assert ('tenant = "org_id"  # it may be NULL: no company and no contact gets such rows\n' in text) is nullable


def test_an_account_is_valid_at_every_tenant() -> None:
    """Its id has no tenant: a way that compares it within the tenant of the row would find no row."""
    users, notes = made_table("users", columns=["org_id"]), made_table("notes", {"user_id": "users"}, ["org_id"])
    members = made_table("members", {"user_id": "users", "team_id": "teams"})
    teams = made_table("teams", columns=["org_id"])
    form = parsed(drafted(made_catalogue(users, notes, members, teams), "org_id"))
    within = {one.name: one.exact_rows[0].within for one in form.dataset}

    assert within == {"users": "platform", "notes": "platform", "teams": "platform", "members": None}


def test_datasets_have_names_that_archives_may_have() -> None:
    """Names that differ by case alone, and those that Windows reserves, get a number."""
    tables = [made_table(name, {"user_id": "users"}) for name in ("Orders", "con", "orders", "a b", "a_b", "AUX")]
    form = parsed(drafted(made_catalogue(USERS, *tables)))

    named = {one.table: one.name for one in form.dataset}
    assert named["Orders"] == "Orders"
    assert {named[name] for name in ("con", "orders", "a_b", "AUX")} == {"con_2", "orders_3", "a_b_5", "AUX_6"}


def test_a_draft_names_numbers_that_are_of_several_tables() -> None:
    """The search sees no path there, and the draft says why."""
    text = drafted(made_catalogue(USERS, made_table("notes", columns=["owner_id", "owner_type"]), made_table("rates")))

    mixed = "owner_id names rows of several tables, as owner_type says"
    assert f'"notes",  # no key and no name leads to the subject; {mixed}\n' in text
    assert '"rates",  # no key and no name leads to the subject\n' in text


def test_a_part_of_a_name_is_a_comment() -> None:
    """Beside the way of a dataset, and as the only way of a table that nothing else leads from."""
    users = replace(USERS, columns={**USERS.columns, "id": CatalogueColumn("id", BigInteger(), False)})
    numbers = {name: CatalogueColumn(name, BigInteger(), True) for name in ("user_id", "relateduserid", "post_author")}
    logs, posts = (made_table(name) for name in ("logs", "posts"))
    logs = replace(logs, columns={**logs.columns, **numbers})
    posts = replace(posts, columns={**posts.columns, "post_author": numbers["post_author"]})
    text = drafted(made_catalogue(users, logs, posts))

    remark = "it may name the subject by a part of its name"
    assert f'    # {{ column = "relateduserid", identities = ["user_id"] }},  # {remark}\n' in text
    assert f'#     {{ column = "post_author", identities = ["user_id"] }},  # {remark}\n' in text
    assert '"posts",  # may lead to the subject: see above\n' in text
    assert len(parsed(text).dataset[1].rows) == 1


def test_all_that_may_name_a_person_stands_beside_an_unclear_path() -> None:
    """A table that a team leads to may have an author, too, and a number that names rows of several tables."""
    notes = made_table("notes", {"sender_id": "users", "receiver_id": "users"}, ["noteable_id", "noteable_type"])
    notes = replace(notes, columns={**notes.columns, "author": replace(notes.columns["id"], name="author")})
    text = drafted(made_catalogue(USERS, notes))

    assert "# noteable_id names rows of several tables, as noteable_type says.\n" in text
    assert '#     { column = "author", identities = ["user_id"] },  # it may name the subject by a part of its' in text


def test_a_number_of_several_tables_stands_beside_the_way() -> None:
    """Odoo has the messages about a person by it, and those of a person by their author."""
    messages = made_table("messages", {"user_id": "users"}, ["res_id", "res_model"])
    text = drafted(made_catalogue(USERS, messages))

    named = "res_id names rows of several tables, as res_model says: what leads to the subject by it is missing"
    assert f'    {{ column = "user_id", identities = ["user_id"] }},\n    # {named}\n]' in text
    assert len(parsed(text).dataset) == 2


def test_rows_that_people_share_are_a_comment() -> None:
    """A table that joins by names alone leads to what many people have, and to all that belongs to it."""
    users = replace(USERS, columns={**USERS.columns, "id": CatalogueColumn("id", BigInteger(), False)})
    names = {name: CatalogueColumn(name, BigInteger(), True) for name in ("team_id", "user_id")}
    teams, members, notes = (made_table(name) for name in ("teams", "members", "notes"))
    ids = {"id": users.columns["id"]}
    members = replace(members, columns={**ids, **names}, unique=(*members.unique, frozenset(names)))
    notes = replace(notes, columns={**ids, "team_id": names["team_id"]})
    text = drafted(made_catalogue(users, replace(teams, columns=ids), members, notes))

    assert [one.name for one in parsed(text).dataset] == ["users", "members"]
    assert "by its name: there is no foreign key, people share it: each person in members" in text


def test_a_row_without_tenant_is_led_by_the_record_of_a_contact() -> None:
    """Ids of contacts are valid at one tenant, so a way that compares them with such a row would be refused."""
    users, deals = made_table("users", columns=["org_id"]), made_table("deals", columns=["org_id"])
    links = made_table("links", {"user_id": "users", "deal_id": "deals"})
    catalogue = made_catalogue(users, deals, links)
    found = paths.find(catalogue, "users", "id", "org_id")
    text = draft(Proposal(catalogue, found, SubjectKind.CONTACT, "CRM"))
    taken = re.sub(r"undecided = \[\n.*?\n\]\n", "", text.partition("[tables]")[0], flags=re.DOTALL)
    form = parsed(re.sub(r"^# (\[dataset.fields\]|\w+ = )", r"\1", taken, flags=re.MULTILINE))
    ways = {one.name: (one.exact_rows[0].identities, one.exact_rows[0].dataset) for one in form.dataset}

    assert ways == {"users": (("contact_id",), None), "deals": (("contact_id",), None), "links": ((), "users")}


HOSTILE = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30).filter(lambda name: "." not in name)


@given(HOSTILE, st.lists(HOSTILE, min_size=1, max_size=4, unique=True), st.text(st.characters(codec="utf-8")))
def test_no_name_of_a_database_ends_its_place(table: str, columns: list[str], comment: str) -> None:
    """Quotes, line breaks and control characters in names and comments stay within their text or comment."""
    described = {name: CatalogueColumn(name, String(), True, comment) for name in columns}
    log = CatalogueTable(table, described | {"id": made_table("x").columns["id"]}, ("id",), (), (), (), comment)
    document = tomllib.loads(drafted(Catalogue({"users": USERS, table: log})))

    assert set(document) == {"title", "role", "kinds", "dataset", "tables"}
    assert document["tables"]["internal"] == {}


@pytest.mark.parametrize("name", ["客户", ":"])
def test_a_table_may_be_named_without_a_word(name: str) -> None:
    """A name in another script, or of signs alone, is the name of no reference, and has its place in the proposal."""
    kind = USERS.columns["id"].type
    columns = {one: CatalogueColumn(one, kind, True) for one in ("id", "user_id")}
    orders = CatalogueTable(name, columns, ("id",), (), (), ())
    document = tomllib.loads(drafted(Catalogue({"users": USERS, name: orders})))

    assert [one["table"] for one in document["dataset"]] == ["users", name]


@pytest.mark.parametrize(("name", "expected"), [("last name", "last_name = { column"), ("größe", "gr_e = { column")])
def test_a_name_that_no_archive_has_gets_another(name: str, expected: str) -> None:
    """A field has a name of letters, digits, `_` and `-`; the proposal names its column."""
    users = CatalogueTable(
        "users",
        {"id": USERS.columns["id"], name: CatalogueColumn(name, String(), True)},
        ("id",),
        (),
        (),
        (),
    )

    assert f"# {expected}" in drafted(Catalogue({"users": users}))


def test_columns_of_one_name_without_signs_have_two_fields() -> None:
    """Taken together, all proposals of a table are valid: a name of its own comes before one that was made."""
    names = ["last name", "last_name", "last.name", "🙂", "🚀"]
    table = made_table("users", key=["nu mber"], columns=names)
    text = draft(
        Proposal(made_catalogue(table), paths.find(made_catalogue(table), "users", "nu mber", None), USER, "CRM")
    )
    taken = re.sub(r"undecided = \[\n.*?\n\]\n", "", text.partition("[tables]")[0], count=1, flags=re.DOTALL)
    (dataset,) = parsed(re.sub(r"^# (\[dataset|\w+ = )", r"\1", taken, flags=re.MULTILINE)).dataset

    assert set(dataset.own_columns.values()) == {"nu mber", *names}
    assert dataset.own_columns["last_name"] == "last_name"
    assert list(dataset.key_columns) == ["nu mber"]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("e\u202ediovca", r'"e\u202ediovca"'),
        ("id\u200b", r'"id\u200b"'),
        ("\u2066x", r'"\u2066x"'),
        ("\ufeffid", r'"\ufeffid"'),
    ],
)
def test_a_person_sees_the_signs_that_hide_a_name(name: str, shown: str) -> None:
    """A name that an editor shows in another order, or as another column, is written with escapes."""
    table = CatalogueTable("users", made_table("users", columns=[name]).columns, ("id",), (), (), (), "for \u202eeno")
    text = drafted(Catalogue({"users": table}))

    assert f"    {shown},\n" in text
    assert set("\u202e\u200b\u2066\ufeff").isdisjoint(text)
    assert parsed(text).dataset[0].undecided == ("id", name)


@pytest.mark.parametrize("name", ["first\nname", "first\tname", "na\x7fme", "na\u2028me"])
def test_a_name_with_control_characters_is_kept(name: str) -> None:
    """Tables that were made of spreadsheets have such columns: with a blank instead the map would not fit them."""
    table = made_table("users", columns=[name])
    (dataset,) = parsed(drafted(made_catalogue(table))).dataset

    assert dataset.undecided == ("id", name)


def test_bytes_are_a_question() -> None:
    """A picture is a person's data: as internal it would be missing in an archive that says that it is complete.

    Who takes all proposals has decided nothing about it.
    """
    columns = {"id": USERS.columns["id"], "photo": CatalogueColumn("photo", LargeBinary(), True)}
    users = CatalogueTable("users", columns, ("id",), (), (), ())
    text = drafted(Catalogue({"users": users}))

    assert "# # photo: bytes, such as a picture." in text
    assert "[dataset.internal]" not in text.partition("[[dataset]]")[2]
    assert "# photo = " not in text


def test_numbers_that_seem_to_be_times_are_a_question() -> None:
    """Nothing says what they count: the lines are comments, and together they make a map that compares times."""
    table = made_table("users", columns=["name"])
    times = {name: CatalogueColumn(name, BigInteger(), False) for name in ("timecreated", "lastlogin")}
    text = drafted(made_catalogue(replace(table, columns={**table.columns, **times})))
    form = parsed(text)

    assert (form.times, form.dataset[0].created) == ({}, None)
    assert '# timecreated = { format = "epoch_seconds" }  # big_integer in 1 table' in text
    assert '# created = "timecreated"  # a time by its name, in numbers' in text
    assert '# lastlogin = { type = "datetime", text = "Lastlogin." }  # a time by its name, in numbers' in text
    begin = text.index("# [times]")
    taken = text[:begin] + text[begin:].replace("# ", "", 1).replace("\n# ", "\n")
    assert parsed(taken.replace('# created = "', 'created = "')).times.keys() == {"timecreated", "lastlogin"}
