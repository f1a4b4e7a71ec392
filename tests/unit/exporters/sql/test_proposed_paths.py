"""Paths to the subject: every table that can reach it has its shortest paths, and a person decides between equals."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import pytest
from catalogues_made import judged, made_catalogue, made_table, shortest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import BigInteger

from exporters.sql.catalogue import Catalogue, CatalogueTable, Reference
from exporters.sql.proposal import paths
from exporters.sql.proposal.paths import PathStep, TablePaths

USERS = made_table("users", columns=["email"])
PART = "one column of a foreign key of several: {} alone must name one row"


def test_a_reference_leads_to_the_subject() -> None:
    """A foreign key is a step; a row two steps away leads there through its parent."""
    orders, lines = made_table("orders", {"user_id": "users"}), made_table("lines", {"order_id": "orders"})
    found = paths.find(made_catalogue(USERS, orders, lines, made_table("settings")), "users", "id", None)

    assert found.reached == {
        "users": TablePaths(0),
        "orders": TablePaths(1, (PathStep("user_id", "users", "id"),)),
        "lines": TablePaths(2, (PathStep("order_id", "orders", "id"),)),
    }


def test_a_name_leads_there_without_a_foreign_key() -> None:
    """A column that is named after a table and its key is a step, and says that only its name does."""
    named = made_table("ticket_replies", columns=["user_id", "status_id"])
    found = paths.find(made_catalogue(USERS, named, made_table("statuses")), "users", "id", None)

    assert found.reached["ticket_replies"].steps == (PathStep("user_id", "users", "id", by_name=True),)


@pytest.mark.parametrize(
    ("subject", "others"),
    [
        (made_table("users"), [made_table("posts", columns=["userid"], key=["id"]), made_table("files")]),
        (made_table("wp_users"), [made_table("wp_posts", columns=["user_id"]), made_table("wp_terms")]),
        (made_table("a_crm_users"), [made_table("a_crm_posts", columns=["user_id"]), made_table("a_crm_terms")]),
        (made_table("users"), [made_table("posts", key=["user_id", "place_id"]), made_table("terms")]),
        (made_table("users", key=["user_id"]), [made_table("posts", key=["user_id"]), made_table("terms")]),
    ],
    ids=["no separator", "prefix", "prefix of two words", "part of a key", "the same key"],
)
def test_names_of_systems_without_foreign_keys_lead_there(
    subject: CatalogueTable, others: Sequence[CatalogueTable]
) -> None:
    """Prefixes that most tables share do not count, words may be written together, and a key may name other rows."""
    typed = [_with_ids(one) for one in others]
    found = paths.find(made_catalogue(subject, *typed), subject.name, subject.key[0], None)

    (step,) = found.reached[others[0].name].steps
    assert (step.table, step.by_name) == (subject.name, True)
    assert others[1].name not in found.reached


def test_a_whole_name_comes_before_one_without_its_prefix() -> None:
    """`group_id` names a row of `groups`, although most tables begin with `user` and there are `user_groups`."""
    named = _with_ids(made_table("user_rights", columns=["group_id"]))
    others = [made_table("user_groups", {"user_id": "users"}), made_table("user_mails"), made_table("groups")]
    found = paths.find(made_catalogue(USERS, named, *others), "users", "id", None)

    assert "user_rights" not in found.reached


def test_a_pair_of_names_that_is_unique_joins() -> None:
    """Without foreign keys a table joins if it names two rows that are together unique."""
    joins = _with_ids(made_table("deal_users", columns=["deal_id", "user_id"], unique=[("deal_id", "user_id")]))
    found = paths.find(made_catalogue(USERS, made_table("deals"), joins), "users", "id", None)

    expected = PathStep("user_id", "users", "id", "deal_users", "deal_id", "id", by_name=True)
    assert found.reached["deals"].steps == (expected,)
    assert not found.reached["deals"].chosen  # a deal that people share: a person decides


def test_a_part_of_a_name_is_a_question() -> None:
    """`useridfrom` and `post_author` may name a person; a column of texts, and one of another name, do not."""
    posts = _with_ids(
        made_table(
            "posts",
            columns=["useridfromid", "post_author", "authorid", "deleted_by_id", "user_text", "topic_id", "user_is_id"],
        )
    )
    found = paths.find(made_catalogue(_with_ids(USERS), posts), "users", "id", None)

    steps = (*found.reached["posts"].steps, *found.reached["posts"].longer)
    assert [one.column for one in steps] == ["authorid", "useridfromid", "deleted_by_id"]
    assert not found.reached["posts"].chosen


def test_what_leads_to_a_question_is_a_question() -> None:
    """WordPress has no foreign keys: the author of a post leads from the values of the post, too."""
    posts, metas = made_table("posts", columns=["post_author"]), made_table("metas", columns=["post_id"])
    posts = replace(posts, columns={**posts.columns, "post_author": replace(posts.columns["id"], name="post_author")})
    found = paths.find(made_catalogue(USERS, posts, metas), "users", "id", None).reached

    assert [one.doubt for one in found["posts"].steps] == ["it may name the subject by a part of its name"]
    assert (found["metas"].steps, found["posts"].chosen) == ((PathStep("post_id", "posts", "id", by_name=True),), None)


def test_the_name_of_a_table_or_of_its_key_is_a_question() -> None:
    """Moodle names a row of `course` by `course`, WooCommerce one of `order_items` by its key `order_item_id`."""
    course, quiz = made_table("course", {"user_id": "users"}), _numbers(made_table("quiz", columns=["course"]))
    items = made_table("woo_items", {"user_id": "users"}, key=["item_id"])
    values = made_table("vals", columns=["item_id", "country"], key=["id"])
    countries = made_table("countries", {"user_id": "users"}, key=["name"])
    found = paths.find(made_catalogue(USERS, course, quiz, items, values, countries), "users", "id", None).reached
    steps = {name: [(one.column, one.table, one.key) for one in found[name].steps] for name in ("quiz", "vals")}

    assert steps == {"quiz": [("course", "course", "id")], "vals": [("item_id", "woo_items", "item_id")]}
    assert not found["quiz"].chosen
    assert not found["vals"].chosen
    assert found["vals"].steps[0].doubt == "it may name a row of woo_items: it is called like the key of this table"


@pytest.mark.parametrize(("key", "is_question"), [("idvisit", True), ("login", True), ("id", False), ("code", False)])
def test_a_key_of_one_word_is_a_question(key: str, *, is_question: bool) -> None:
    """Matomo names its visits by `idvisit` everywhere; `code` is a column of many tables."""
    visits, pages = made_table("log_visits", key=[key]), made_table("pages", key=["number"], columns=[key])
    kind = visits.columns[key].type
    pages = replace(pages, columns={**pages.columns, key: replace(pages.columns[key], type=kind)})
    found = paths.find(made_catalogue(visits, pages), "log_visits", key, None).reached

    assert ("pages" in found) is is_question


def test_the_end_of_the_name_of_a_table_is_a_question() -> None:
    """Moodle names a row of `forum_discussions` by `discussion`; where several tables end so, nothing says which."""
    discussions = made_table("forum_discussions", {"user_id": "users"})
    steps, grades = made_table("attempt_steps", {"user_id": "users"}), made_table("quiz_grades", {"user_id": "users"})
    posts = _numbers(made_table("posts", columns=["discussion"]))
    values = _numbers(made_table("vals", columns=["step_id"]))
    marks, other = _numbers(made_table("marks", columns=["grade"])), made_table("work_grades", {"user_id": "users"})
    tables = (USERS, discussions, steps, grades, posts, values, marks, other)
    found = paths.find(made_catalogue(*tables), "users", "id", None).reached

    assert [one.table for name in ("posts", "vals") for one in found[name].steps] == [
        "forum_discussions",
        "attempt_steps",
    ]
    assert (
        found["posts"].steps[0].doubt == "it may name a row of forum_discussions: it is called like the end of its name"
    )
    assert "marks" not in found


def test_a_column_may_name_rows_of_two_tables() -> None:
    """`customer_id` of a shop is a person, or a row of the table with this key: both are questions."""
    lookup = made_table("customers_found", {"user_id": "users"}, key=["customer_id"])
    orders = made_table("orders", columns=["customer_id"])
    found = paths.find(made_catalogue(USERS, lookup, orders), "users", "id", None).reached["orders"]

    assert [one.table for one in (*found.steps, *found.longer)] == ["users", "customers_found"]


@pytest.mark.parametrize(("tables", "expected"), [(1, None), (2, None), (3, "org_id")])
def test_a_column_of_few_tables_names_no_tenant(tables: int, expected: str | None) -> None:
    """A single `org_id` says where a person works; the tenant is in a tenth of the tables, and in two at least."""
    made = [made_table(f"table{n}", columns=["org_id"] if n < tables else ["name"]) for n in range(25)]

    assert paths.tenant_column(made_catalogue(*made)) == expected


@pytest.mark.timeout(20)
def test_names_of_a_thousand_tables_are_read_once() -> None:
    """Each name is taken apart once, not once for each column of the database."""
    tables = [
        _with_ids(made_table(f"table{n}s", columns=[f"table{m}_id" for m in range(max(0, n - 9), n)]))
        for n in range(1000)
    ]
    found = paths.find(made_catalogue(*tables), "table9s", "id", None)

    assert len(found.reached) == 991


def test_names_of_a_table_with_very_many_columns_are_read_once() -> None:
    """PostgreSQL has up to 1,600 columns of a table; before, each column read the names of all others."""
    wide = made_table("wide", {"user_id": "users"}, [f"column{n}_id" for n in range(1600)])
    started = time.process_time()

    assert "wide" in paths.find(made_catalogue(USERS, wide), "users", "id", None).reached
    assert time.process_time() - started < 1


def _numbers(table: CatalogueTable) -> CatalogueTable:
    """The table with numbers in all columns."""
    return replace(table, columns={name: replace(one, type=BigInteger()) for name, one in table.columns.items()})


def _with_ids(table: CatalogueTable) -> CatalogueTable:
    """The table with numbers in all columns that name rows."""
    columns = {
        name: replace(one, type=BigInteger()) if name.endswith("id") else one for name, one in table.columns.items()
    }
    return replace(table, columns=columns)


def test_a_join_table_leads_on() -> None:
    """A table that only says that two rows belong together is a step for both of them."""
    deals, joins = made_table("deals"), made_table("deal_users", {"deal_id": "deals", "user_id": "users"})
    found = paths.find(made_catalogue(USERS, deals, joins), "users", "id", None)

    assert found.reached["deals"].steps == (PathStep("user_id", "users", "id", "deal_users", "deal_id", "id"),)


def test_a_table_with_content_of_its_own_joins_if_the_pair_is_unique() -> None:
    """A participant with a role joins; an order, which a person may repeat, does not."""
    joins = made_table("members", {"team_id": "teams", "user_id": "users"}, ["role"], unique=[("team_id", "user_id")])
    orders = made_table("orders", {"shop_id": "shops", "user_id": "users"}, ["total"])
    made = made_catalogue(USERS, made_table("teams"), joins, made_table("shops"), orders)
    found = paths.find(made, "users", "id", None)

    assert set(found.reached) == {"users", "teams", "members", "orders"}


def test_a_person_decides_between_equal_paths() -> None:
    """Two columns that lead to the subject are both listed, and none is chosen."""
    messages = made_table("messages", {"sender_id": "users", "receiver_id": "users"})
    found = paths.find(made_catalogue(USERS, messages), "users", "id", None)

    assert [step.column for step in found.reached["messages"].steps] == ["receiver_id", "sender_id"]
    assert found.reached["messages"].chosen is None


@pytest.mark.parametrize("actor", ["created_by_id", "create_uid", "write_uid", "modifier_id"])
def test_who_worked_on_a_row_is_not_whom_it_is_about(actor: str) -> None:
    """A column such as `created_by_id` is chosen only if there is no other."""
    both = made_table("notes", {actor: "users", "user_id": "users"})
    alone = made_table("logs", {actor: "users"})
    found = paths.find(made_catalogue(USERS, both, alone), "users", "id", None)

    assert [one.column for one in (found.reached["notes"].chosen, found.reached["logs"].chosen) if one] == [
        "user_id",
        actor,
    ]


def test_who_worked_on_a_row_is_not_whom_the_row_above_it_is_about() -> None:
    """An answer of staff belongs to the person who asked: the ticket counts, however long its path is."""
    tickets = made_table("tickets", {"customer_id": "users", "created_by_id": "users"})
    articles = made_table("articles", {"ticket_id": "tickets", "created_by_id": "users"})
    found = paths.find(made_catalogue(USERS, tickets, articles), "users", "id", None).reached["articles"]

    assert found.chosen == PathStep("ticket_id", "tickets", "id")
    assert found.longer == (PathStep("created_by_id", "users", "id"),)


def test_a_longer_path_to_the_subject_is_listed() -> None:
    """The author of an issue leads there, and so do those to whom it is assigned."""
    issues = made_table("issues", {"writer_id": "users"})
    assigned = made_table("assigned", {"issue_id": "issues", "user_id": "users"}, unique=[("issue_id", "user_id")])
    found = paths.find(made_catalogue(USERS, issues, assigned), "users", "id", None).reached["issues"]

    assert found.chosen == PathStep("writer_id", "users", "id")
    assert found.longer == (PathStep("user_id", "users", "id", "assigned", "issue_id", "id"),)


def test_what_describes_a_pair_does_not_join() -> None:
    """GitLab names the project of an assigned person in the table that joins: it is not a project of the person."""
    pair = made_table(
        "assigned",
        {"issue_id": "issues", "user_id": "users", "project_id": "projects"},
        unique=[("issue_id", "user_id")],
    )
    found = paths.find(made_catalogue(USERS, made_table("issues"), made_table("projects"), pair), "users", "id", None)

    assert set(found.reached) == {"users", "issues", "assigned"}


def test_the_tenant_leads_to_no_person() -> None:
    """All rows of a tenant name it: a path through it would give each person the rows of all others."""
    tenants = made_table("tenants", {"owner_id": "users"})
    users, rates = (made_table(name, {"tenant_id": "tenants"}) for name in ("users", "rates"))
    found = made_catalogue(users, tenants, rates)

    assert paths.tenant_column(found) == "tenant_id"
    assert set(paths.find(found, "users", "id", "tenant_id").reached) == {"users", "tenants"}


def test_a_name_of_the_tenant_is_no_question() -> None:
    """`account_id` seems to name a person: with it as one, contact 1 would get all rows of company 1."""
    tables = [made_table(name, columns=["account_id", "note_id"]) for name in ("users", "inboxes")]
    found = paths.find(made_catalogue(*tables, made_table("accounts")), "users", "id", "account_id")

    assert set(found.reached) == {"users"}


def test_two_foreign_keys_of_one_column_are_one_way() -> None:
    """Migrations leave such keys behind: a person has nothing to choose."""
    orders = made_table("orders", {"user_id": "users"})
    found = made_catalogue(USERS, replace(orders, references=orders.references * 2))

    assert paths.find(found, "users", "id", None).reached["orders"].chosen == PathStep("user_id", "users", "id")


@st.composite
def catalogues(draw: st.DrawFn) -> Catalogue:
    """Up to a dozen tables with references among them, some of which join."""
    names = ["users", *(f"t{number}" for number in range(draw(st.integers(0, 11))))]
    tables = []
    for name in names:
        others = draw(st.lists(st.sampled_from(names), max_size=4))
        references = {f"ref{number}": other for number, other in enumerate(others)}
        pair = [[*references][:2]] if len(references) > 1 and draw(st.booleans()) else []
        tables.append(made_table(name, references, draw(st.sampled_from([(), ("made_at",), ("text",)])), unique=pair))
    return made_catalogue(*tables)


@given(catalogues())
def test_every_table_that_can_reach_the_subject_has_its_shortest_paths(made: Catalogue) -> None:
    """A search of its own over the references finds the same tables with the same lengths, and each step is real."""
    found, steps = paths.find(made, "users", "id", None), judged(made)
    lengths = shortest(steps, "users")

    assert {name: reach.cost for name, reach in found.reached.items()} == lengths
    for name, reach in found.reached.items():
        led = {step.table for step in reach.steps}
        assert led == {
            other for other, cost in steps[name] if lengths.get(other, -9) + cost == reach.cost and reach.cost
        }


def test_a_foreign_key_of_several_columns_leads_by_the_one_that_is_enough() -> None:
    """A column that names a row alone is a step; any other only where nothing else leads to the subject."""
    orders = _with_key(made_table("orders", columns=["shop", "buyer_id"]), "users", shop="place", buyer_id="id")
    runs = made_table("runs", {"user_id": "users"}, key=["id", "part"])
    logs = _with_key(made_table("logs", columns=["part", "run_id"]), "runs", part="part", run_id="id")
    files = _with_key(made_table("files", {"log_id": "logs"}, ["part", "run_id"]), "runs", part="part", run_id="id")
    lines = _with_key(made_table("lines", {"order_id": "orders"}, ["part", "run_id"]), "runs", part="part", run_id="id")
    found = paths.find(made_catalogue(USERS, orders, runs, logs, files, lines), "users", "id", None).reached

    assert found["orders"].chosen == PathStep("buyer_id", "users", "id")
    assert (found["logs"].steps, found["logs"].chosen) == (
        (PathStep("run_id", "runs", "id", doubt=PART.format("id")),),
        None,
    )
    assert found["lines"].chosen == PathStep("order_id", "orders", "id")
    assert not found["files"].chosen


def test_a_foreign_key_of_several_columns_leads_on_by_the_keys_that_it_names() -> None:
    """The person in a place of a course is a person; of what leads to no one alone, a person chooses a column."""
    places = made_table("places", {"user_id": "users"}, key=["course", "user_id"])
    works = _with_key(made_table("works", columns=["course", "user_id"]), "places", course="course", user_id="user_id")
    marks = _with_key(made_table("marks", columns=["course", "who"]), "places", course="course", who="user_id")
    rooms = made_table("rooms", {"owner_id": "users"}, key=["house", "number"])
    stays = _with_key(made_table("stays", columns=["house", "number"]), "rooms", house="house", number="number")
    found = paths.find(made_catalogue(USERS, places, works, marks, rooms, stays), "users", "id", None).reached

    assert found["works"].chosen == PathStep("user_id", "users", "id")
    assert found["marks"].chosen == PathStep("who", "users", "id")
    parts = [(step.column, step.doubt) for step in found["stays"].steps]
    assert parts == [("house", PART.format("house")), ("number", PART.format("number"))]
    assert not found["stays"].chosen


def _with_key(table: CatalogueTable, other: str, **pairs: str) -> CatalogueTable:
    """The table with one more foreign key, of these columns."""
    return replace(table, references=(*table.references, Reference(tuple(pairs), other, tuple(pairs.values()))))
