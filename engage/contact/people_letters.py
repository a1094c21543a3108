"""Letters about students: to staff a list with evidence, to a student an offer; text and page of the same words.

The layout stands in templates/. Nothing is read or sent here, and no subject tells who a letter is about.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from urllib.parse import quote

from engage.contact import people_words as words
from engage.contact.people import Student
from engage.contact.recipients import Waiting
from engage.letters import templates
from engage.messaging import Messaging

STUDENT_LETTERS = ("support_offer",)
"""What a rule may have written to a student."""
_KINDS = ("no_digital_activity", "low_activity", "score")
_LAST = 1_000_000
_AVERAGE = 500


@dataclass(frozen=True)
class PersonalLetter:
    """The same words in two forms."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True)
class Frame:
    """What surrounds what a letter tells."""

    messaging: Messaging
    local: datetime
    """Now, in the institution's zone."""
    students: Mapping[str, Student]
    came: Mapping[int, Sequence[tuple[str, Sequence[date]]]] = field(default_factory=dict)
    """By correction: the sources that show more activity than was told."""


def to_staff(told: Sequence[Waiting], frame: Frame) -> PersonalLetter:
    """Tell somebody of their students: corrections first, then steps due, then what is new, the gravest first."""
    by_student: dict[str, list[Waiting]] = {}
    for one in sorted(told, key=lambda one: _rank(one, frame)):
        by_student.setdefault(one.student_id, []).append(one)
    cards = [_card(frame.students[student_id], some, frame) for student_id, some in by_student.items()]
    corrected = sum(all(one.kind == "correction" for one in some) for some in by_student.values())
    new = len(cards) - corrected
    said = [f"{new} student{'s' * (new > 1)} to look at"] * bool(new)
    said += [f"{corrected} correction{'s' * (corrected > 1)}"] * bool(corrected)
    context: dict[str, object] = {
        "heading": " and ".join(said),
        "today": words.weekday(frame.local.date()),
        "cards": cards,
        "asks": frame.messaging.support,
    }
    return _render("people", f"{context['heading']}, {context['today']}", context)


def to_student(told: Waiting, frame: Frame) -> PersonalLetter:
    """Offer a student help, or take back that it was offered for a reason that does not hold."""
    student = frame.students[told.student_id]
    context: dict[str, object] = {
        "given_name": student.given_name or "student",
        "is_correction": told.kind == "correction",
        "seen": _seen(told),
        "told_on": words.day(told.told_at.astimezone(frame.local.tzinfo)) if told.told_at else None,
        "help_from": frame.messaging.support,
        "asks": frame.messaging.support,
    }
    subject = "Please disregard our last message" if told.kind == "correction" else "How are your studies going?"
    return _render("student", subject, context)


def _rank(told: Waiting, frame: Frame) -> tuple[int, int, int, int]:
    """Return where it stands in a letter."""
    section = {"correction": 0, "contact_step": 1}.get(told.kind, 2)
    priority = frame.students[told.student_id].priority or _LAST
    kind = _KINDS.index(told.about) if told.about in _KINDS else len(_KINDS)
    return section, priority, kind, told.action_id


def _card(student: Student, told: Sequence[Waiting], frame: Frame) -> dict[str, object]:
    """Lay out all that a letter says of one student."""
    lines: list[tuple[str, str]] = []
    corrections = [one for one in told if one.kind == "correction"]
    for one in corrections:
        on = f"On {words.day(one.told_at.astimezone(frame.local.tzinfo))}" if one.told_at else "Before"
        why = words.why_not(one, frame.came.get(one.action_id, ()))
        lines.append(("Correction", f"{on} we told you: {words.in_short(one)}. That does not hold: {why}."))
    steps = [one for one in told if one.kind == "contact_step"]
    for one in steps:
        lines.append(("To do", words.step(one)))
        if policy := one.content.get("policy"):
            lines.append(("Policy", str(policy)))
    news = {words.happened(one, frame.local): one for one in told if one.kind != "correction" and one.about}
    for said, one in news.items():
        is_in_its_place = any(_is_in_place_of(one, other) for other in corrections)
        lines.append(("What holds now" if is_in_its_place else "Why" if one in steps else "What happened", said))
    if not news and not steps:
        lines.append(("To do", "Nothing, and there is no need to tell the student."))
    else:
        facts = (("Engagement", words.trend(student)), ("Attendance", words.attendance(student)))
        lines += [(label, line) for label, line in facts if line]
        lines.append(("In touch", words.in_touch(student, frame.local)))
    url = frame.messaging.student_url
    study = [student.programme, f"year {student.year_of_study}" if student.year_of_study else None]
    return {
        "name": " ".join(student.name.split()) if student.name else "Name not known",
        "number": student.student_id,
        "study": ", ".join(filter(None, study)),
        # What has the label of the line before needs none.
        "lines": [(label * (n == 0 or lines[n - 1][0] != label), line) for n, (label, line) in enumerate(lines)],
        "is_correction": bool(corrections) and not news and not steps,
        "note": student.note if news or steps else None,
        "note_on": words.day(student.note_at.astimezone(frame.local.tzinfo)) if student.note_at else None,
        "link": url.replace("{student_id}", quote(student.student_id, safe="")) if url else None,
    }


def _is_in_place_of(new: Waiting, correction: Waiting) -> bool:
    """Say whether a notification tells of days of which another, of the same kind, does not hold."""
    ours, theirs = new.evidence or {}, correction.evidence or {}
    if new.student_id != correction.student_id or new.about != correction.about:
        return False
    if "from" in ours and "from" in theirs:
        return bool(ours["from"] <= theirs["to"] and theirs["from"] <= ours["to"])
    return new.week_start == correction.week_start


def is_folded(new: Waiting, correction: Waiting) -> bool:
    """Say whether a notification belongs in the same letter as a correction."""
    return new.kind == "notify" and _is_in_place_of(new, correction)


def _seen(told: Waiting) -> str:
    """Say to a student what was seen of them."""
    evidence = told.evidence or {}
    if told.about in ("no_digital_activity", "low_activity") and "from" in evidence:
        little = "no activity of yours online"
        if told.about == "low_activity":
            little = "hardly any activity of yours, online or in class"
        first, last = (date.fromisoformat(evidence[end]) for end in ("from", "to"))
        return f"from {words.span(first, last)} our systems recorded {little}"
    # A fall may begin high above the others.
    if int(evidence.get("score") or 0) < _AVERAGE:
        return "in the last weeks our systems recorded less of you than of most students on programmes like yours"
    return "in the last weeks our systems recorded less of you than some weeks before"


def _render(name: str, subject: str, context: dict[str, object]) -> PersonalLetter:
    pages = templates()
    text, html = (pages.get_template(f"{name}.{kind}.j2").render(context) for kind in ("txt", "html"))
    return PersonalLetter(subject, text, html)
