"""A draft as it is written: what to expect of the rows, and the two files with what only a person can say left open.

How it was inferred is `engage.scaffold`.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from engage import scaffold_words as words
from engage.records import RECORDS

_FEW = 20
"""Distinct values; a column with more is not one of kinds."""
_SOURCE = """\
# A draft, made from a sample. Until `enabled` is true, nothing is collected: check it with
#   engage source check {id} --sample FILE
# then fill in what only a person can say (here in comments) and set `enabled: true`.
id: {id}
title: {title}
system: {title}  # what the system is called at your institution
description: Made from a sample.  # one sentence: what a row is, and what is left out
enabled: false
{what}
# How its files arrive. Host, user and keys come from the environment; ask the owner of the server, then run
#   engage source trust {id}
# For a local folder: kind: file_drop, with folder, pattern and settled only. For an API: docs/adding-a-source.md.
transport:
  kind: sftp
  host: ${{{env}_SFTP_HOST}}
  port: 22
  username: ${{{env}_SFTP_USER}}
  private_key: ${{{env}_SFTP_KEY}}
  known_hosts: ${{{env}_SFTP_KNOWN_HOSTS}}
  folder: /{id}
{pattern}  settled: two_looks  # or done_file, when the sender writes <name>.done after each file
{reading}
# When it counts as late: hours without a delivery; quiet_weekdays: [Sat, Sun] where nothing comes then.
cadence: daily
freshness: {{warn_after_h: 36, fail_after_h: 48}}
# Nobody but you can say these, and the source cannot be enabled without them:
# owner: {{name: who answers for the feed, email: address of a team}}
# privacy:
#   purpose: to notice early when ..., in words for students
#   lawful_basis: such as public task (UK GDPR Art. 6(1)(e))
#   dpia_reference: DPIA-2026-007
#   dpia_date: 2026-05-18
#   retention_days: 365
"""


@dataclass(frozen=True)
class Finding:
    """One thing that was inferred."""

    what: str
    value: str
    sure: str
    """certain, likely or guess."""
    because: str


@dataclass(frozen=True)
class Draft:
    """A source and its suite as they would stand in their files, and how they were inferred."""

    source: dict[str, Any]
    rules: list[dict[str, Any]]
    findings: list[Finding]

    @property
    def source_yaml(self) -> str:
        """Text of `config/sources/<id>.yaml`."""
        said = self.source
        transport = {key: said[key] for key in ("pattern", "day_format") if said[key] is not None}
        first, second = ("record", "relation"), ("format", "columns", "expected_columns", "identified_by", "drop")
        scored = ("category", "digital")
        return _SOURCE.format(
            id=said["id"],
            title=said["id"].replace("_", " ").capitalize(),
            env=said["id"].upper(),
            what=_yaml({key: said[key] for key in first}).rstrip(),
            pattern="".join(f"  {line}\n" for line in _yaml(transport).splitlines()),
            reading=_yaml({key: said[key] for key in (*second, *scored) if said.get(key) not in (None, [])}).rstrip(),
        )

    @property
    def suite_yaml(self) -> str:
        """Text of `expectations/<id>.yaml`."""
        lines = ["# Proposed from a sample: read every rule, and delete or sharpen it."]
        lines += ["description: What is expected of a delivery.", "expectations:"]
        for rule in self.rules:
            lines += [f"{'    ' if place else '  - '}{key}: {_flow(rule[key])}" for place, key in enumerate(rule)]
        return "\n".join(lines) + "\n"


def _yaml(content: dict[str, Any]) -> str:
    """Return YAML as people write it here: a line for each entry, in braces what is within it."""
    lines = []
    for key, value in content.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            lines += [f"{key}:", *(f"  - {_flow(entry)}" for entry in value)]
        elif isinstance(value, dict) and all(isinstance(entry, dict) for entry in value.values()):
            lines += [f"{key}:", *(f"  {name}: {_flow(entry)}" for name, entry in value.items())]
        else:
            lines.append(f"{key}: {_flow(value)}")
    return "\n".join(lines) + "\n"


def _flow(value: object) -> str:
    text = yaml.safe_dump(value, sort_keys=False, default_flow_style=True, allow_unicode=True, width=10_000)
    return text.removesuffix("...\n").rstrip()


def rules(record: str, relation: str, fields: dict[str, list[str]]) -> Iterator[dict[str, Any]]:
    """Propose what to expect. `fields`: the values, without empty ones, of each field that has a column."""

    def rule(
        rule_id: str, title: str, kind: str, weight: int = 1, critical: bool = False, **kwargs: Any
    ) -> dict[str, Any]:
        meta: dict[str, Any] = {"id": rule_id, "title": title} | ({"weight": weight} if weight != 1 else {})
        severity = {"severity": "critical"} if critical else {}
        return {"type": f"expect_{kind}", "kwargs": kwargs, **severity, "meta": meta}

    kind = RECORDS[record]
    is_list = kind.day_of is None
    null = "column_values_to_be_null"
    yield rule("readable", "Every row can be read", null, 3, record in words.HELD_WHOLE, column="load_error")
    if kind.names_student:
        yield rule("known_student", "Every row names a student of ours", null, 3, column="unknown_student")
    if relation == "replace_days":
        yield rule("named_day", "Every row is of a day that the file is about", null, 2, column="unnamed_day")
    if relation == "append":
        yield rule("has_id", "Every row has an id", "column_values_to_not_be_null", 2, True, column="event_id")
    if not is_list:
        yield rule(
            "not_in_the_future",
            "No row lies after the file was written",
            "column_values_to_be_between",
            column="seconds_ahead",
            max_value=0,
        )
    in_order, in_set = "column_pair_values_a_to_be_greater_than_b", "column_values_to_be_in_set"
    for end, start in (
        ("ends_at", "starts_at"),
        ("status_to", "status_from"),
        ("ends_on", "starts_on"),
        ("valid_to", "valid_from"),
        ("closed_at", "opened_at"),
    ):
        if end in fields and start in fields:
            same_day = {"or_equal": True} if end == "ends_on" else {}
            yield rule(
                "ends_after_start",
                "Nothing ends before it starts",
                in_order,
                1,
                record in words.HELD_WHOLE,
                column_A=end,
                column_B=start,
                **same_day,
                ignore_row_if="either_value_is_missing",
            )
    if "event_id" in fields and relation != "append":
        yield rule(
            "few_duplicates",
            "At most 1 % of the rows are duplicates",
            "column_proportion_of_unique_values_to_be_between",
            column="event_id",
            min_value=0.99,
        )
    if record == "students":
        yield rule(
            "one_row_each",
            "Every student stands in the list once",
            "column_values_to_be_unique",
            3,
            True,
            column="student_id",
        )
    if "student_ref" in fields and (shape := _shape(fields["student_ref"])):
        yield rule(
            "reference_shape",
            "Every reference looks as they all do",
            "column_values_to_match_regex",
            column="student_ref",
            regex=shape,
        )
    for name in fields:
        if known := words.KNOWN_WORDS.get((record, name)):
            yield rule(
                f"known_{name}",
                f"Every {name.replace('_', ' ')} is one we know",
                in_set,
                3,
                True,
                column=name,
                value_set=known,
            )
        elif name in words.SMALL_SETS and (few := _few(fields[name])):
            yield rule(
                f"known_{name}",
                f"Every {name.replace('_', ' ')} is one that was seen",
                in_set,
                column=name,
                value_set=few,
            )
    if "quantity" in fields and all(int(v) >= 0 for v in fields["quantity"] if re.fullmatch(r"[+-]?\d+", v)):
        yield rule(
            "sensible_quantity", "No number is negative", "column_values_to_be_between", column="quantity", min_value=0
        )
    if is_list:
        yield rule("not_empty", "The list is never empty", "table_row_count_to_be_between", 1, True, min_value=1)
    if record == "term_calendar":
        return
    is_steady = record in words.OF_EVERYBODY
    low, high = (0.9, 1.25) if is_steady else (0.4, 2.5)
    yield rule(
        "usual_size",
        "About as many rows as usual",
        "row_count_to_be_usual",
        2,
        is_steady,
        min_ratio=low,
        max_ratio=high,
    )
    if not is_list:
        yield rule(
            "not_suddenly_empty",
            "A file is not (nearly) empty where the same weekday usually has rows",
            "row_count_to_be_usual",
            1,
            True,
            min_ratio=0.1,
            max_ratio=1000,
        )


def _shape(values: list[str]) -> str | None:
    """Return the pattern of digits or of a letter and digits that (nearly) all values have; None: there is none."""
    shapes = Counter(re.sub(r"[0-9]", "9", v) for v in values)
    if not shapes or shapes.most_common(1)[0][1] < 0.98 * len(values):
        return None
    ((shape, _),) = shapes.most_common(1)
    letters = re.match(r"[A-Za-z]?(?=9+$)", shape)
    return None if letters is None else f"^{'[A-Za-z]' * len(letters[0])}\\d{{{len(shape) - len(letters[0])}}}$"


def _few(values: list[str]) -> list[str] | None:
    """Return the words of a column of kinds; None: they are many, do not recur, or look as if they named somebody."""
    counts = Counter(values)
    recur = 0 < len(counts) <= _FEW and min(counts.values()) > 1 and len(values) >= 4 * len(counts)
    return sorted(counts) if recur and not any(re.search(r"@|\d{5}", v) for v in counts) else None
