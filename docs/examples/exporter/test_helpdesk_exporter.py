"""The exporter meets the requirements."""

from pathlib import Path

from helpdesk_exporter import exporter
from sqlalchemy import create_engine, text

from portability.api import SubjectKind
from portability.testing import (
    MemoryFiles,
    SampleSources,
    SourceFaults,
    check_exporter,
    check_faults,
    sample_subject,
)


def test_requirements(tmp_path: Path) -> None:
    """There are 1,100 notes; another user wrote every tenth."""
    engine = create_engine(f"sqlite:///{tmp_path}/helpdesk.db")
    with engine.begin() as connection:
        connection.execute(text("create table helpdesk_notes (id text, owner text, text text, urgency real)"))
        for number in range(1_100):
            note = {"id": f"note_{number:04}", "owner": "usr_1" if number % 10 else "usr_2", "urgency": number / 1_100}
            connection.execute(text("insert into helpdesk_notes values (:id, :owner, :id, :urgency)"), note)
    sources, subject, faults = (
        SampleSources(engine, MemoryFiles()),
        sample_subject(SubjectKind.USER, "usr_1"),
        SourceFaults(),
    )
    check_exporter(exporter(sources), subject)
    faults.watch(engine)
    check_faults(lambda: exporter(sources), subject, faults)
    engine.dispose()
