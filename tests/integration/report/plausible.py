"""A plausible university for tests of the report: editions written straight into schema `governance`, from a seed."""

import random
from datetime import UTC, date, datetime, timedelta

from engage.warehouse import Connection

FACULTIES = {"ART": 300, "BUS": 420, "ENG": 380, "MED": 260, "SCI": 340}
PROGRAMMES = {f"{faculty}-{n:02}": size // 4 for faculty, size in FACULTIES.items() for n in range(1, 5)}
GROUPS = {
    "faculty": FACULTIES,
    "programme": PROGRAMMES | {"SCI-09": 12},
    "year_of_study": {"1": 640, "2": 560, "3": 420, "4": 80},
    "mode": {"full_time": 1500, "part_time": 200},
}
CHARACTERISTICS = {
    "disability": {"known disability": 210, "no known disability": 1440},
    "ethnicity": {"Asian": 330, "Black": 150, "Mixed": 90, "Other": 40, "White": 1040, "not known": 18},
    "sex": {"female": 900, "male": 780, "other": 8},
}
SOURCES = {
    "attendance": "Attendance scans", "moodle_activity": "Moodle activity", "library_gates": "Library gates",
    "library_loans": "Library loans", "lecture_capture": "Lecture capture views", "card_doors": "Card door access",
    "teams": "Teams meetings", "submissions": "Submissions", "wifi": "Campus Wi-Fi", "students": "Student roster",
}  # fmt: skip
BANDS = {"0-199": 0.01, "200-399": 0.13, "400-599": 0.7, "600-799": 0.15, "800-1000": 0.01}
FIRST_WEEK = date(2026, 8, 31)


def rounded(value: float) -> int:
    return int((value + 2.5) // 5 * 5)


class University:
    """Writes editions; each has twelve weeks, the last of which is its period."""

    def __init__(self, connection: Connection, seed: int = 7) -> None:
        self.connection, self.seed = connection, seed

    def edition(self, last_week: int = 12, weeks: int = 12, previous: str | None = None, kind: str = "weekly") -> str:
        start = FIRST_WEEK + timedelta(weeks=last_week - 1)
        end = start + timedelta(days=6)
        edition_id, made = f"{kind}-{end}", datetime(end.year, end.month, end.day, 8, tzinfo=UTC) + timedelta(days=1)
        self.connection.execute(
            "insert into governance.edition (edition_id, kind, title, period_start, period_end, data_as_of,"
            " config_version, made_at, previous_edition_id) values (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [edition_id, kind, f"Week of {start.day} {start:%B %Y}", start, end, made, "c7d3f0a1", made,
             previous],
        )  # fmt: skip
        self._id, self._period, self._kind = edition_id, start, kind
        self._rows: dict[tuple[object, ...], tuple[object, ...]] = {}
        for n in range(max(last_week - weeks, 0), last_week):
            self._week(n)
        self._of_the_period(last_week)
        columns = "edition_id, figure_id, period_start, dimension, member, category, value, base, suppressed"
        with self.connection.cursor() as cursor, cursor.copy(f"copy governance.figure ({columns}) from stdin") as copy:
            for key, row in self._rows.items():
                copy.write_row((*key, *row))
        self._sources(last_week, weeks)
        return edition_id

    def _week(self, n: int) -> None:
        draw = random.Random(self.seed * 1000 + n)
        week = FIRST_WEEK + timedelta(weeks=n)
        tired = 0.06 + 0.006 * n

        def share(size: int, likely: float, *where: str) -> None:
            hit = rounded(sum(draw.random() < likely for _ in range(size)))
            base = rounded(size)
            name, rest = where[0], where[1:]
            self.put(name, week, *rest, value=hit, minimum=0)
            self.put(f"{name}_share", week, *rest, value=100 * hit // base if base else 0, base=base, minimum=22.5)

        for dimension, members in ({"all": {"all": 1700}} | GROUPS).items():
            for member, size in members.items():
                more = 1.6 if member in ("ENG", "part_time", "1") else 1
                self.put("students_scored", week, dimension, member, value=rounded(size))
                share(size, tired * more, "declining", dimension, member)
                share(size, 0.04 + 0.003 * n * more, "consistently_low", dimension, member)
                share(size, 0.09 + 0.002 * n, "below_attention", dimension, member)
        for band, part in BANDS.items():
            self.put("score_band", week, category=band, value=rounded(1700 * part * draw.uniform(0.9, 1.1)))
        kinds = {"no_digital_activity": 60, "low_activity": 35, "score": 45}
        for kind, usual in kinds.items():
            for status, part in {"raised": 1.0, "held": 0.3, "dropped": 0.15, "undetermined": 0.1}.items():
                if kind != "score" or status == "raised":
                    self.put(
                        "notifications",
                        week,
                        category=f"{kind}:{status}",
                        value=rounded(usual * part * draw.uniform(0.4, 1.6)),
                    )
        for outcome, usual in {"answered": 40, "no_answer": 22, "left_message": 9, "referred": 3}.items():
            self.put("contacts", week, category=outcome, value=rounded(usual * draw.uniform(0.5, 1.5)))
        for what, usual in {"open": 25, "append": 12}.items():
            self.put("case_actions", week, category=what, value=rounded(usual * draw.uniform(0.5, 1.5)))
        for kind, usual in {"Authorised Absence": 30, "Practice Placement Block": 80, "Dissertation Period": 2}.items():
            self.put(
                "exemptions",
                week,
                category=kind,
                value=rounded(usual * draw.uniform(0.7, 1.3)),
                suppress=usual < 5 and n % 3 == 0,
            )
        if n <= 5:
            for kind, likely in {"below_concern": 44, "below_attention": 31, "others": 7}.items():
                self.put(
                    "score_hit_share", week, category=kind, value=round(likely * draw.uniform(0.85, 1.15)), base=60
                )

    def _of_the_period(self, last_week: int) -> None:
        draw = random.Random(self.seed + last_week)
        for faculty, size in FACULTIES.items():
            for status, part in {"raised": 0.05, "held": 0.015, "dropped": 0.004}.items():
                self.put(
                    "notifications",
                    self._period,
                    "faculty",
                    faculty,
                    f"no_digital_activity:{status}",
                    value=rounded(size * part),
                )
        for status, count in {"due": 20, "done": 135, "overdue": 10, "stopped": 60}.items():
            self.put("ladder_steps", self._period, category=status, value=count)
        for who, part, people in (("contacted", 58, 240), ("comparable", 44, 205)):
            self.put("outcome_recovered_share", self._period, category=who, value=part, base=people)
            self.put("outcome_people", self._period, category=who, value=people)
            for weeks, change in ((4, 35), (5, 45), (6, 50)):
                self.put(
                    "outcome_change",
                    self._period,
                    category=f"{who}:{weeks}",
                    value=change if who == "contacted" else change // 5 * 3 // 5 * 5,
                    base=people,
                )
        flagged = {"part_time": 22, "Black": 19, "known disability": 17, "1": 15, "White": 11, "other": None}
        characteristics = {name: GROUPS[name] for name in ("faculty", "mode", "year_of_study")} | CHARACTERISTICS
        for dimension, members in ({"all": {"all": 1700}} | characteristics).items():
            for member, size in members.items():
                value = flagged.get(member, draw.choice([11, 12, 13])) if dimension != "all" else 12
                for name, number in (("flagged_share", value), ("fairness_ratio", value and round(value / 12, 2))):
                    self.put(name, self._period, dimension, member, value=number, base=rounded(size), minimum=22.5)
        if self._kind == "termly":
            self.put("subject_requests", self._period, category="access:received", value=5)
            self.put("subject_requests", self._period, category="access:completed", value=5, suppress=True)
            self.put("subject_requests", self._period, category="access:overdue", value=0)
        self.put("deletions", self._period, category="retention:raw.activity", value=182_340)
        changes = [
            ("configuration", "weights.attendance: 0.40 to 0.35"),
            ("configuration", "alert_rules.below_300: activated"),
            ("restatement", "week of 2026-10-12: 1 revision added, 1,700 scores"),
            ("source", "wifi: enabled"),
        ]
        for n, (kind, what) in enumerate(changes, 1):
            self.connection.execute(
                "insert into governance.change (edition_id, position, changed_on, kind, what)"
                " values (%s, %s, %s, %s, %s)",
                [self._id, n, self._period, kind, what],
            )

    def put(
        self, name: str, week: date, dimension: str = "all", member: str = "all", category: str = "", *,
        value: float | None, base: int | None = None, minimum: float = 0, suppress: bool = False,
    ) -> None:  # fmt: skip
        out = suppress or value is None or (base is not None and base < minimum)
        key = (self._id, name, week, dimension, member, category)
        self._rows.setdefault(key, (None if out else value, base, "small" if out else None))

    def _sources(self, last_week: int, weeks: int) -> None:
        for k, (source_id, title) in enumerate(SOURCES.items()):
            for n in range(max(last_week - weeks, 0), last_week):
                draw = random.Random(f"{source_id}{n}")
                days = 0 if source_id == "wifi" and n < 3 else 7
                missing = draw.choice([0] * 9 + [1, 2, 4])
                stale = 3 if (source_id, n) in (("library_gates", 11), ("teams", 6)) else 0
                self.connection.execute(
                    "insert into governance.source_week (edition_id, source_id, title, week_start, days_expected,"
                    " days_complete, days_stale, mean_quality, incidents_opened)"
                    " values (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
                    [self._id, source_id, title, FIRST_WEEK + timedelta(weeks=n), days,
                     max(days - max(missing, stale), 0), stale, 97.5 - missing if days else None, int(missing > 1)],
                )  # fmt: skip
            self.connection.execute(
                "insert into governance.source_register (edition_id, source_id, title, system, category, purpose,"
                " lawful_basis, dpia_reference, dpia_date, owner_name, retention_days, in_use)"
                " values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
                [self._id, source_id, title, "System", "vle", "To notice early who may need support, and to offer it",
                 "public task", f"DPIA-2026-{k + 1:03}", date(2026, 3, 1), "Ada Example", 400, source_id != "wifi"],
            )  # fmt: skip
