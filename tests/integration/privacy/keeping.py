"""An installation in a folder, for what is kept and what is not: a gate with its configuration, its home, its clock."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from engage.privacy import retention
from engage.privacy.old_rows import Finding
from engage.sources import Source
from tests.integration.gate.kit import ATTENDANCE, EVENTS, STUDENTS, Gate

PERIODS = {"marts": 400, "cases": 400, "notifications": 365, "messages": 200, "exemptions": 365, "people": 400}
PERIODS |= {"staff": 365, "rights": 730, "subject_access": 90, "outbox": 30, "logs": 30}
HEADING = "Event Id,Student Number,Session Start,Session Type,Mandatory,Attended"
CREATED = {"privacy": {"lawful_basis": "public task", "dpia_reference": "DPIA-1", "retention_days": 60}}


class Keeping:
    """One installation; a register of sessions, an API of events and a list of students."""

    def __init__(self, gate: Gate, folder: Path) -> None:
        self.gate, self.config, self.home = gate, folder / "config", folder / "home"
        self.home.mkdir()
        (self.config / "sources").mkdir(parents=True)
        (self.config / "retention.yaml").write_text(yaml.safe_dump(PERIODS))
        self.sources = {}
        for content in (ATTENDANCE, EVENTS, STUDENTS):
            (self.config / "sources" / f"{content['id']}.yaml").write_text(yaml.safe_dump({**content, **CREATED}))
            source = self.sources[str(content["id"])] = gate.source({**content, **CREATED})
            gate.execute(
                "insert into ops.source (source_id, title, record, relation, category, is_digital, retention_days)"
                " values (%s, '', %s, %s, %s, false, 60)",
                [source.id, source.record, source.relation, source.category],
            )

    def attend(self, day: date, *lines: str) -> None:
        """Deliver the register of a day: `<student> <type>` for each session, of nobody known if so."""
        rows = [
            f"{day}-{n},{line.split()[0]},{day:%d/%m/%Y} 09:00,{line.split()[1]},Y,Y" for n, line in enumerate(lines)
        ]
        content = "\n".join([HEADING, *rows, ""]).encode()
        self.gate.deliver(
            self.sources["attendance"],
            content,
            f"{day}.csv",
            day,
            datetime(day.year, day.month, day.day, 23, tzinfo=UTC),
        )

    def click(self, day: date, *users: str) -> None:
        """Deliver an API window of a day."""
        start = datetime(day.year, day.month, day.day, tzinfo=UTC)
        items = [
            {"id": f"{day}-{n}", "user": {"username": user}, "time": f"{day}T09:00:00Z", "component": "forum"}
            for n, user in enumerate(users)
        ]
        content = "".join(json.dumps(item) + "\n" for item in items).encode()
        window = (start, start + timedelta(days=1))
        self.gate.deliver(self.sources["vle"], content, str(day), None, start + timedelta(days=1), window)

    def roster(self, day: date, *students: str) -> None:
        """Deliver a list of students, each with a user name and a badge."""
        rows = [f"{s},Name {s},u{s.lower()},b{s}" for s in students]
        content = "\n".join(["student_id,given_name,username,badge", *rows, ""]).encode()
        self.gate.deliver(
            self.sources["students"],
            content,
            f"list-{day}.csv",
            day,
            datetime(day.year, day.month, day.day, 23, tzinfo=UTC),
        )

    def process(self) -> None:
        """Take in what was delivered."""
        for name in ("students", "attendance", "vle"):
            self.gate.process(self.sources[name])

    def look(self, now: datetime) -> list[Finding]:
        """Return what is past its period, or held back."""
        found = retention.look(self.gate.connection, self.config, self.home, str(self.gate.store), now)
        return [one for one in found if one.rows or one.held]

    def run(self, now: datetime) -> retention.Ran:
        """Delete it."""
        return retention.run(self.gate.url, self.config, self.home, str(self.gate.store), "ada", "the night", now)

    def source(self, name: str) -> Source:
        """A source."""
        return self.sources[name]

    def one(self, query: str, given: Any = None) -> Any:
        """The only value of a query."""
        return self.gate.execute(query, given)[0][0]
