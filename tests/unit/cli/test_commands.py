from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from pkgutil import resolve_name

import click
import pytest
from click.testing import Result
from factories import World
from prometheus_client.parser import text_string_to_metric_families
from repository import ROOT
from sqlalchemy import select, update

from cli.commands import COMMANDS, TOPICS
from demo import extra
from portability.database import models
from portability.database.engine import reading, writing
from portability.requests import earlier_revisions, exports
from portability.requests.states import ExportState
from portability.retention import erasure_holds
from portability.trust import audit

Run = Callable[..., Result]

NAMES = {"cancel", "clock", "db", "demo", "doctor", "fetch", "instructions", "keys", "list", "metrics", "plugins"}
NAMES |= {"request", "retry", "seed", "show", "sweep", "up", "verify", "worker"}


def test_help_lists_every_command_below_its_topic(run: Run) -> None:
    """The names of the contract, each once below its topic and with a line that says what it does."""
    sections = re.split(r"^(\S.*):\n", run("--help").stdout.split("Options:")[1], flags=re.MULTILINE)[1:]
    listed = {
        topic: {line.split()[0]: len(line.split()) for line in lines.splitlines() if line.strip()}
        for topic, lines in zip(sections[::2], sections[1::2], strict=True)
    }
    assert {topic: list(names) for topic, names in listed.items()} == {t: list(names) for t, names in TOPICS.items()}
    assert all(words > 1 for names in listed.values() for words in names.values())
    assert COMMANDS.keys() >= NAMES
    assert len(COMMANDS) == sum(map(len, TOPICS.values()))


@pytest.mark.slow
def test_the_list_says_what_each_command_says_itself() -> None:
    """The list repeats the first sentence of each command's help, so that it imports none of them."""
    for names in TOPICS.values():
        for place, about in names.values():
            command: click.Command = resolve_name(place)
            assert command.help is not None
            assert " ".join(command.help.split()).startswith(about)
            assert about.endswith(".")


def test_the_list_imports_no_command() -> None:
    """`portability --help` answers at once: neither a database nor a web server is imported."""
    program = "import sys; from cli.main import main; main(['--help'], standalone_mode=False); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"sqlalchemy", "fastapi", "rq", "cli.web"} & {*done.stdout.split("\n")[-2].split()}


@pytest.mark.parametrize("command", ["demo", "up", "seed"])
def test_a_command_without_its_extra_changes_nothing(
    run: Run, made: World, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """An installation for production has no extra: one line with what to install, before anything is made."""
    monkeypatch.setattr(extra, "find_spec", lambda _name: None)
    before = sorted(made.folder.iterdir())
    done = run(command)
    assert done.exit_code == 2
    assert done.stderr.startswith(f"error: `portability {command}` needs ")
    assert done.stderr.endswith('[missing_extra]  hint: pip install "vlint-portability[embedded]"\n')
    assert sorted(made.folder.iterdir()) == before


def test_a_stack_without_platform_data_says_so(run: Run, made: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else every request waits for a database that no one has made: the line names the command that makes one."""
    ended = threading.Event()
    ended.set()
    monkeypatch.setattr("cli.demo.stop_event", lambda: ended)
    monkeypatch.setattr("cli.demo.embedded.running", lambda *_settings, **_options: nullcontext())
    file = made.folder / "platform.sqlite"
    file.unlink(missing_ok=True)

    assert "`portability seed` makes sample data" in run("up").stderr
    file.touch()
    assert run("up").stderr == ""
    file.unlink()
    monkeypatch.setenv("PORTABILITY_SOURCE_URL", "sqlite:////nowhere/platform.sqlite")
    assert run("up").stderr == ""


def test_a_request_is_stored_where_no_worker_can_be_woken(run: Run) -> None:
    """Redis is down: the row is written, a note says so, and the exit code is 0: nothing is lost."""
    done = run("request", "--profile", "access", "--subject", "user:usr_1", "--json")
    assert done.exit_code == 0
    assert "request stored" in done.stderr
    answer = json.loads(done.stdout)
    assert answer["state"] == "queued"
    assert answer.keys() >= {"id", "state", "complete", "due_at", "datasets", "volumes", "error"}


def test_waiting_for_a_worker_that_cannot_come_fails_at_once(run: Run) -> None:
    """`--wait` without Redis would never end: exit code 1, with a hint what to start."""
    done = run("request", "--profile", "access", "--subject", "user:usr_1", "--wait")
    assert done.exit_code == 1
    assert "[queue_unavailable]" in done.stderr
    (stored,) = json.loads(run("list", "--json").stdout)
    assert f"request {stored['id']} is stored" in done.stderr
    assert f"`portability show {stored['id']}`" in done.stderr


def test_the_actor_is_in_the_audit_log(run: Run, made: World) -> None:
    """`--as` plays a part on the embedded stack, and the log keeps it."""
    run("request", "--profile", "access", "--subject", "user:usr_1", "--as", "staff:jane", "--reason", "by telephone")
    with reading(made.engine) as connection:
        assert [event["actor"] for event in audit.events(connection)][-1] == "staff:jane"


def test_the_readme_shows_what_the_command_prints(run: Run, made: World) -> None:
    """The line under the state of an export: profile, kind of subject, due date, and the law that has set it."""
    shown = run("show", made.request("user:usr_1", profile="portability")).stdout.splitlines()[1]
    (sample,) = re.findall(r"^portability, .* due .*$", (ROOT / "README.md").read_text(), re.MULTILINE)

    assert re.sub(r"\d", "0", shown) == re.sub(r"\d", "0", sample)


@pytest.mark.slow
def test_a_ready_export_is_shown_fetched_and_verified(run: Run, made: World) -> None:
    """What `fetch` copies is what storage holds, mode 0600, and `verify` needs no more than the folder."""
    identifier = made.request()
    made.advance_all()
    assert json.loads(run("show", identifier, "--json").stdout)["state"] == "ready"
    target = made.folder / "mine"
    fetched = json.loads(run("fetch", identifier, "--to", str(target), "--json").stdout)
    (path,) = map(Path, fetched["archives"])
    assert path.stat().st_mode & 0o777 == 0o600
    verified = run("verify", str(target), "--json")
    assert verified.exit_code == 0
    assert json.loads(verified.stdout)["ok"] is True
    with reading(made.engine) as connection:
        actions = [event["action"] for event in audit.events(connection, export_id=identifier)]
        assert actions[-2:] == ["export.fetched", "fetch.completed"]
        assert not erasure_holds.subjects(connection)


@pytest.mark.slow
def test_an_archive_is_fetched_while_its_next_revision_is_made(run: Run, made: World) -> None:
    """The volumes that were ready, as a delivery of their revision."""
    identifier = made.request()
    made.advance_all()
    with writing(made.engine) as connection:
        earlier_revisions.keep(connection, exports.lock(connection, identifier), ())
        connection.execute(update(models.export).values(state="running", revision=2))
    target = made.folder / "mine"
    (path,) = json.loads(run("fetch", identifier, "--to", str(target), "--json").stdout)["archives"]
    assert Path(path).name == "export-" + identifier + "-001.zip"
    with reading(made.engine) as connection:
        assert audit.events(connection, export_id=identifier)[-1]["detail"]["revision"] == 1


@pytest.mark.slow
def test_a_fetch_that_is_killed_is_no_delivery(run: Run, made: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The data must not be erased before someone has all of it; the next run has."""
    identifier = made.request()
    made.advance_all()
    target = str(made.folder / "mine")
    with monkeypatch.context() as broken:
        broken.setattr("cli.exports._fetch", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run("fetch", identifier, "--to", target)
    with reading(made.engine) as connection:
        (held,) = erasure_holds.subjects(connection)
    assert (held.exports, held.reasons) == ((identifier,), ("delivery",))
    assert run("fetch", identifier, "--to", target).exit_code == 0
    with reading(made.engine) as connection:
        assert not erasure_holds.subjects(connection)


@pytest.mark.slow
def test_a_copy_of_an_earlier_revision_is_no_delivery_of_the_next(run: Run, made: World) -> None:
    """The gaps of an archive were filled since: the operator's copy lacks what came with that."""
    identifier = made.request()
    made.advance_all()
    target = str(made.folder / "mine")
    assert run("fetch", identifier, "--to", target).exit_code == 0
    with writing(made.engine) as connection:
        assert not erasure_holds.subjects(connection)
        connection.execute(update(models.export).values(revision=2))
        (held,) = erasure_holds.subjects(connection)
    assert held.reasons == ("delivery",)
    assert run("fetch", identifier, "--to", target).exit_code == 0
    with reading(made.engine) as connection:
        assert not erasure_holds.subjects(connection)


@pytest.mark.slow
def test_a_copy_that_cannot_be_made_is_told_to_no_one(run: Run, made: World, tmp_path: Path) -> None:
    """The folder of `--to` is a file: no event says that an operator has a copy, and the person gets no message."""
    identifier = made.request("user:usr_1")
    made.advance_all()
    (tmp_path / "file").touch()
    done = run("fetch", identifier, "--to", str(tmp_path / "file"))
    assert (done.exit_code, "a file is where a folder is needed [bad_input]" in done.stderr) == (2, True)
    with reading(made.engine) as connection:
        actions = {event["action"] for event in audit.events(connection, export_id=identifier)}
        told = connection.scalars(select(models.notification.c.kind)).all()
    assert "export.fetched" not in actions
    assert "fetched" not in told


@pytest.mark.slow
def test_fetching_again_continues_where_it_stopped(run: Run, made: World) -> None:
    """A complete volume is not copied again; an incomplete one is completed; a corrupted part is copied again.

    Storage is blamed for its own bytes alone.
    """
    identifier = made.request()
    made.advance_all()
    target = made.folder / "mine"
    (path,) = map(Path, json.loads(run("fetch", identifier, "--to", str(target), "--json").stdout)["archives"])
    content = path.read_bytes()
    partial = path.with_name(path.name + ".part")
    path.rename(partial)
    partial.write_bytes(content[:1000])
    assert run("fetch", identifier, "--to", str(target)).exit_code == 0
    assert path.read_bytes() == content
    path.unlink()
    for damaged in (b"x" * 1000, b"x" * (len(content) + 1)):
        partial.write_bytes(damaged)
        assert run("fetch", identifier, "--to", str(target)).exit_code == 0
        assert path.read_bytes() == content
        path.unlink()
    (stored,) = (file for file in made.folder.rglob("*.zip") if file.read_bytes() == content)
    stored.write_bytes(b"x" * len(content))
    partial.write_bytes(content[:1000])
    spoilt = run("fetch", identifier, "--to", str(target))
    assert (spoilt.exit_code, "[object_changed]" in spoilt.stderr) == (1, True)
    assert not partial.exists()


@pytest.mark.slow
def test_an_archive_that_does_not_verify_is_exit_code_1(run: Run, made: World) -> None:
    """Its faults are in the answer, each by its code."""
    identifier = made.request()
    made.advance_all()
    (path,) = made.fetch(identifier)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    done = run("verify", str(path), "--json")
    assert done.exit_code == 1
    answer = json.loads(done.stdout)
    assert answer["ok"] is False
    assert all(error.keys() == {"code", "volume", "file", "detail"} for error in answer["errors"])


def test_keys_are_made_listed_ended_and_published(run: Run) -> None:
    """`keys jwks` prints the public halves as they are verified with."""
    kid = json.loads(run("keys", "new", "--json").stdout)["kid"]
    listed = [key for key in json.loads(run("keys", "list", "--json").stdout) if key["purpose"] == "archive"]
    assert [bool(key["retired_at"]) for key in listed] == [True, False]
    assert run("keys", "revoke", kid).exit_code == 0
    published = {key["kid"]: key for key in json.loads(run("keys", "jwks").stdout)["keys"]}
    assert "revoked_at" in published[kid]
    assert all("d" not in key for key in published.values())


def test_instructions_are_added_listed_and_withdrawn(run: Run) -> None:
    """Names may be written with blanks after the commas."""
    add = ("instructions", "add", "--tenant", "ten_1", "--include", "calls, crm", "--json")
    identifier = json.loads(run(*add).stdout)["id"]
    (row,) = json.loads(run("instructions", "list", "--json").stdout)
    assert (row["id"], row["exporters"], row["contact_id"], row["withdrawn_at"]) == (
        identifier,
        ["calls", "crm"],
        None,
        None,
    )
    assert run("instructions", "withdraw", identifier).exit_code == 0
    assert json.loads(run("instructions", "list", "--json").stdout)[0]["withdrawn_at"] is not None


def test_the_register_describes_every_field(run: Run) -> None:
    """The dataset register is generated from code: no dataset and no field without its description."""
    register = json.loads(run("plugins", "--register", "--json").stdout)
    assert len(register) > 30
    assert all(dataset["description"] and dataset["key"] for dataset in register)
    assert all(field["description"] for dataset in register for field in dataset["fields"])


def test_metrics_are_for_prometheus_and_for_machines(run: Run, made: World) -> None:
    """The text that Prometheus reads, whole and unwrapped, and the same numbers as JSON."""
    made.request()
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(run("metrics").stdout)
        for sample in family.samples
    }
    document = {
        (sample["name"], *sorted(sample["labels"].items())): sample["value"]
        for metric in json.loads(run("metrics", "--json").stdout)
        for sample in metric["samples"]
    }

    assert samples["portability_exports", ("profile", "access"), ("state", "queued")] == 1
    assert document.keys() == samples.keys()
    ages = {key for key in samples if str(key[0]).endswith(("_age_seconds", "_free_bytes", "_service_seconds"))}
    assert {key: value for key, value in document.items() if key not in ages} == {
        key: value for key, value in samples.items() if key not in ages
    }


@pytest.mark.parametrize(
    ("actor", "code"),
    [("tenant_admin:adm@ten_1", 0), ("tenant_admin:adm@ten_2", 2), ("staff:sam", 2), ("subject:usr_1", 2)],
)
def test_only_a_tenant_or_an_operator_orders_for_it(run: Run, actor: str, code: int) -> None:
    """An instruction releases a company's data: it can be given and withdrawn only by that company."""
    assert run("instructions", "add", "--tenant", "ten_1", "--as", actor).exit_code == code
    identifier = run("instructions", "add", "--tenant", "ten_1").stdout.strip()
    assert run("instructions", "withdraw", identifier, "--as", actor).exit_code == code


@pytest.mark.parametrize("actor", ["tenant_admin:adm@ten_2", "staff:sam"])
def test_withdrawing_does_not_say_which_instructions_exist(run: Run, actor: str) -> None:
    """The answer about an instruction of another company is that about an id of no instruction."""
    identifier = run("instructions", "add", "--tenant", "ten_1").stdout.strip()
    there, gone = (run("instructions", "withdraw", name, "--as", actor).output for name in (identifier, "ins_0"))
    assert there.replace(identifier, "ins_0") == gone


def test_a_deadline_is_moved_by_those_who_may(run: Run, made: World) -> None:
    """An officer notes that a person is waited for; staff may not, and learn no more."""
    identifier = made.request()
    assert run("pause", identifier, "--reason", "identity", "--as", "staff:sam").exit_code == 2
    paused = run("pause", identifier, "--reason", "identity", "--as", "officer:olga")
    assert paused.exit_code == 0, paused.stderr
    assert run("resume", identifier, "--as", "officer:olga").exit_code == 0
    # Under UU PDP, which decides here, nothing is extended.
    assert "uu_pdp" in run("extend", identifier, "--reason", "much audio", "--as", "officer:olga").stderr


def test_a_list_that_is_cut_says_so(run: Run, made: World) -> None:
    """In a line of its own, so that the JSON stays whole; a list of exactly the limit is not cut."""
    for number in range(3):
        made.request(f"user:usr_{number}")
    cut, whole = (run("list", "--limit", limit, "--json") for limit in ("2", "3"))

    assert [len(json.loads(listed.stdout)) for listed in (cut, whole)] == [2, 3]
    assert [listed.stderr.strip() for listed in (cut, whole)] == [
        "2 exports shown: --limit shows more",
        "",
    ]


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        ("ready", "ready, complete with remarks"),
        ("expired", "expired, complete with remarks"),
        ("failed", "failed"),
        ("cancelled", "cancelled"),
    ],
)
def test_an_outcome_is_that_of_an_archive(run: Run, made: World, state: str, shown: str) -> None:
    """A request without an archive is not "complete": the outcome was computed before it failed."""
    identifier, table = made.request(), models.export
    with writing(made.engine) as connection:
        values = {"state": state, "outcome_own": "with_remarks", "outcome_processor": "none"}
        connection.execute(update(table).where(table.c.id == identifier).values(values))

    assert run("show", identifier).stdout.splitlines()[0] == f"export {identifier}: {shown}"


@pytest.mark.parametrize("state", [*ExportState, "READY"])
def test_a_list_takes_each_state_by_the_word_that_it_prints(run: Run, made: World, state: str) -> None:
    """The output of one command is valid input of another."""
    made.request()
    listed = run("list", "--state", str(state), "--json")
    assert listed.exit_code == 0
    assert [row["state"] for row in json.loads(listed.stdout)] == (["queued"] if state == "queued" else [])


def test_a_cancellation_that_has_not_ended_an_export_is_shown(run: Run, made: World) -> None:
    """A running export ends at the next checkpoint of its worker: until then `running` alone would hide it."""
    identifier = made.request("user:usr_1")
    assert made.claim()
    assert f"export {identifier}: running, to be cancelled at the next checkpoint" in run("cancel", identifier).stdout
    assert "to be cancelled" in run("list").stdout
