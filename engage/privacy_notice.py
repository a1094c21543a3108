"""The privacy notice: what students are told of the register, in plain words, as a page or as Markdown.

What is collected is said from the columns that a source file reads, so that the notice cannot say less than is done.
Layout stands in templates/; what the register holds is register.py's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from pydantic import ValidationError

from engage import source_values as values
from engage.privacy.periods import Periods
from engage.register import NOT_RECORDED, Entry
from engage.strict import ConfigurationError, Strict, explain, read_yaml

Form = Literal["html", "md"]
IDENTITY = {
    "student_id": "your student number",
    "username": "your user name",
    "email": "your e-mail address",
    "badge": "the number of your card",
}
FIELDS: dict[str, dict[str, str]] = {
    "activity": {
        "event_id": "",
        "student_ref": "",
        "occurred_at": "when",
        "resource_type": "what kind of thing or place it was",
        "resource_ref": "which page, item or place it was",
        "quantity": "how often",
        "duration_s": "for how long",
    },
    "attendance": {
        "event_id": "",
        "student_ref": "",
        "starts_at": "when a session was to take place",
        "ends_at": "",
        "session_type": "what kind of session it was",
        "mandatory": "whether you were expected",
        "attended": "whether you came",
        "late": "whether you came late",
        "recorded_at": "when that was recorded",
    },
    "students": {
        "student_id": IDENTITY["student_id"],
        "is_sponsored": "whether the university sponsors your visa",
        "given_name": "your name",
        "family_name": "your name",
        "email": IDENTITY["email"],
        "username": IDENTITY["username"],
        "badge": IDENTITY["badge"],
    },
    "enrolments": {
        "student_id": IDENTITY["student_id"],
        "programme_code": "your programme",
        "programme_name": "your programme",
        "faculty_code": "your faculty",
        "year_of_study": "your year of study",
        "mode": "whether you study full-time or part-time",
        "entry_band": "the band of your entry qualification",
        "cohort": "when you began",
        "campus_residence": "whether you live on campus",
        "tutor_id": "who your tutor is",
        "status": "whether you are studying, away or have left, and since when",
        "status_from": "",
        "status_to": "",
    },
    "staff_links": {
        "staff_id": "which member of staff supports you, and how to reach them",
        "student_id": IDENTITY["student_id"],
        "role": "in which role",
        "valid_from": "from when to when",
        "valid_to": "from when to when",
        "staff_name": "",
        "staff_email": "",
    },
    "cases": {
        "case_id": "",
        "student_id": IDENTITY["student_id"],
        "kind": "what kind of help it is",
        "status": "whether it is still open",
        "opened_at": "when it began",
        "closed_at": "when it ended",
        "assigned_to": "who looks after it",
    },
    "contacts": {
        "contact_id": "",
        "student_id": IDENTITY["student_id"],
        "case_id": "",
        "contacted_at": "when somebody wrote or spoke to you",
        "channel": "how",
        "outcome": "what came of it",
        "contacted_by": "who that was",
    },
    "exemptions": {
        "exemption_ref": "",
        "student_id": IDENTITY["student_id"],
        "exemption_type": "why you are excused",
        "starts_on": "for which days",
        "ends_on": "for which days",
        "created_on": "when and by whom that was entered",
        "created_by": "when and by whom that was entered",
    },
    "characteristics": {
        "student_id": IDENTITY["student_id"],
        "characteristic": "what you answered for equality monitoring",
        "member": "what you answered for equality monitoring",
    },
    "student_notes": {
        "note_id": "",
        "student_id": IDENTITY["student_id"],
        "note": "what you wrote",
        "written_at": "when",
    },
}
"""Record -> field -> what that is to a student; empty: nothing of its own. Records that are not here are of nobody."""
_CHAPTERS = (
    ("Who you are and what you study", ("students", "enrolments", "staff_links")),
    ("Coming to teaching", ("attendance",)),
    ("Systems in which you study", ("vle",)),
    ("Library and buildings", ("library_access",)),
    ("Other systems", ("other",)),
    ("Absence, help and contact", ("exemptions", "student_notes", "cases", "contacts")),
    ("Equality monitoring", ("characteristics",)),
)
_BASES = (
    ("6(1)(a)", "your consent: you can withdraw it at any time, and then we stop"),
    ("6(1)(c)", "a duty that the law lays on the university"),
    ("6(1)(e)", "the university's public task: supporting your studies is what it is there for"),
    ("6(1)(f)", "legitimate interests: seeing early that somebody may need help, weighed against your privacy"),
    ("9(2)(a)", "your explicit consent, for what you tell us of your health: you can withdraw it at any time"),
    ("9(2)(g)", "equality of opportunity, a substantial public interest: only rates of groups are made"),
)
_KEPT = (
    ("What we work out from it: counts, daily ratings and weekly scores", "marts", "from the day or week it is about"),
    ("That you were noticed, when and why", "notifications", "from that day"),
    ("What we write to you, and to others about you", "messages", "from when it was written"),
    ("What was done to help you: steps and cases", "cases", "from when it was done"),
    ("Absences that were authorised here", "exemptions", "from their last day"),
    ("Your name, addresses and card numbers", "people", "from the last list that names you"),
    ("What you asked of your data, and what we answered", "rights", "from the answer"),
)
"""What is made of what sources deliver, the class of config/retention.yaml, and from when that is counted."""
_MAY_OBJECT, _MAY_WITHDRAW = ("6(1)(e)", "6(1)(f)"), ("6(1)(a)", "9(2)(a)")


class Notice(Strict):
    """`config/privacy_notice.yaml`: what no source file can know."""

    institution: values.Filled = "The university"
    contact: values.Filled = NOT_RECORDED
    data_protection_officer: values.Filled = NOT_RECORDED
    sponsorship_basis: values.Filled = NOT_RECORDED
    """On which ground contact points of sponsored students are counted; said only where they are."""
    who_sees: list[values.Filled] = ["Staff who teach or support you."]
    complaints: values.Filled = "the Information Commissioner's Office, https://ico.org.uk/make-a-complaint"


@dataclass(frozen=True)
class Item:
    """What students are told of one source."""

    title: str
    system: str
    collected: str
    purpose: str
    basis: str
    kept: str
    ended: str
    """The last day on which it was collected; empty: it is."""


def load_notice(config: Path) -> Notice:
    """Read `privacy_notice.yaml`; without it the notice has gaps that it names. Raises ConfigurationError."""
    path = config / "privacy_notice.yaml"
    try:
        return Notice.model_validate(read_yaml(path) or {})
    except FileNotFoundError:
        return Notice()
    except ValidationError as error:
        raise ConfigurationError(explain(path, error, Notice)) from None


def render(
    entries: Sequence[Entry], notice: Notice, periods: Periods, today: date, form: Form, *, sponsors: bool = False
) -> str:  # fmt: skip
    """Return the notice: an accessible page that stands alone, or Markdown to paste into one's own.

    `sponsors`: contact points of sponsored students are counted (config/sponsorship.yaml).
    """
    told = [one for one in entries if one.record in FIELDS and one.state != "draft"]
    chapters = [
        (title, [_item(one) for one in told if (one.category or one.record) in which]) for title, which in _CHAPTERS
    ]
    said = " ".join([*(str(one.lawful_basis) for one in told), notice.sponsorship_basis if sponsors else ""])
    context = {
        "notice": notice,
        "chapters": [(title, items) for title, items in chapters if items],
        "sponsors": sponsors,
        "contact_points": [one.title for one in told if one.source and one.source.enabled and one.source.contact_point],
        "bases": [(f"Art. {article}", words) for article, words in _BASES if article in said],
        "kept": [(what, _kept(periods.days(name), since)) for what, name, since in _KEPT],
        "may_object": any(article in said for article in _MAY_OBJECT),
        "may_withdraw": any(article in said for article in _MAY_WITHDRAW),
        "today": _day(today),
    }
    return _environment().get_template(f"privacy_notice.{form}.j2").render(context)


def gaps(entries: Sequence[Entry], notice: Notice, *, sponsors: bool = False) -> list[str]:
    """Return what the notice has to leave open: it should not be published before that is said."""
    must_be_said = ("contact", "data_protection_officer", *(("sponsorship_basis",) if sponsors else ()))
    keys = [key for key in must_be_said if getattr(notice, key) == NOT_RECORDED]
    files = [f"config/sources/{one.source_id}.yaml: {', '.join(one.missing)}" for one in entries if one.missing]
    return [*(f"config/privacy_notice.yaml: {key}" for key in keys), *files]


def _item(entry: Entry) -> Item:
    words = FIELDS[entry.record]
    source = entry.source
    known = [IDENTITY[source.identified_by]] if source and "student_ref" in source.columns else []
    # Of a source without a file any more: all that its kind of row may hold.
    fields = [*known, *(words[name] for name in (source.columns if source else words))]
    return Item(
        entry.title,
        entry.system or NOT_RECORDED,
        ", ".join(dict.fromkeys(filter(None, fields))),
        entry.purpose or NOT_RECORDED,
        entry.lawful_basis or NOT_RECORDED,
        _period(entry.retention_days),
        _day(entry.in_use_to) if entry.in_use_to and entry.state != "enabled" else "",
    )


def _day(day: date) -> str:
    return f"{day.day} {day:%B %Y}"


def _period(days: int | None) -> str:
    if days is None:
        return NOT_RECORDED
    years, rest = divmod(days, 365)
    return f"{days} days" if rest else f"{years} year{'s' * (years > 1)}"


def _kept(days: int | None, since: str) -> str:
    return f"{_period(days)} {since}" if days else "as long as the service runs"


def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("engage"),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
