"""Letters about incidents: one text, one page and one card out of the same words, for people on a phone or a desk.

What each incident is called is incident_words.py's; the layout stands in templates/. Nothing is read or sent here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from engage import impact
from engage.conditions import Incident
from engage.incident_words import About, words
from engage.sources import Source
from engage.webhook import Card

FOLDED = ("low_quality", "quality_fell")
"""Not said of a batch that is held: why it is says it already."""


@dataclass(frozen=True)
class Letter:
    """The same words in three forms."""

    subject: str
    text: str
    html: str
    card: Card


@dataclass(frozen=True)
class Frame:
    """What surrounds the incidents of a letter."""

    about: About
    base_url: str
    now: datetime
    held_back: Sequence[str] = ()
    """Subjects of messages that the reader was spared."""
    also: Sequence[Incident] = ()
    """What else is wrong with the source, and known to the reader."""
    blocks: Sequence[tuple[Source, impact.Impact | None]] = ()
    """What it means for each source that the letter is about."""
    heard: Sequence[str] = ()
    """Who was told before."""


def opened(told: Sequence[Incident], frame: Frame) -> Letter:
    """Say that something has gone wrong."""
    return _trouble(told, frame, "", "This is the only message about it until it is over or a reminder is due.")


def reminded(told: Sequence[Incident], frame: Frame) -> Letter:
    """Say to the owner that it is still so."""
    return _trouble(told, frame, "Reminder: ", f"Still so after {_age(told, frame)}.")


def escalated(told: Sequence[Incident], frame: Frame) -> Letter:
    """Say to those above the owner that nobody has put it right."""
    people = f"{' and '.join(frame.heard)} {'were' if len(frame.heard) > 1 else 'was'}"
    lead = f"{people} told {_age(told, frame)} ago, and it is still so."
    return _trouble(told, frame, "Escalation: ", lead)


def recovered(told: Sequence[Incident], frame: Frame) -> Letter:
    """Say that it is over."""
    title, moment = frame.about.name, frame.about.moment
    lines = [
        (
            "What is over" if n == 0 else "",
            f"{_upper(words(one.kind, one.facts, frame.about).headline)}: from {moment(one.opened_at.isoformat())}"
            f" to {moment((one.resolved_at or frame.now).isoformat())}.",
        )
        for n, one in enumerate(_shown(told, frame))
    ]
    left = f"{title} still has other trouble, see below." if frame.also else "You need not do anything."
    context = {
        "heading": f"{title}: {'one trouble less' if frame.also else 'well again'}",
        "is_good": True,
        "lead": f"What we told you of is over. {left}",
        "sections": [{"title": "", "rows": [*lines, *_sources(frame)], "todo": []}],
        "blocks": _blocks(frame) if any(found and found.incomplete for _, found in frame.blocks) else [],
    }
    return _render(context, frame, "raw")


def summary(subjects: Sequence[str], base_url: str) -> Letter:
    """Name the messages that were held back, when no other message has done so."""
    many = len(subjects)
    context = {
        "heading": f"{many} message{'s' * (many > 1)} held back in the last hour",
        "is_good": False,
        "lead": "You would have had too many messages in an hour. These are the ones you were spared.",
        "sections": [{"title": "", "rows": [("About", said) for said in subjects], "todo": []}],
        "blocks": [],
    }
    return _finish(context, [("Open Dagster", base_url)])


def _trouble(told: Sequence[Incident], frame: Frame, mark: str, lead: str) -> Letter:
    """Lay out what is wrong."""
    about = frame.about
    put = [(one, words(one.kind, one.facts, about)) for one in _shown(told, frame)]
    more = f" (and {len(put) - 1} more)" if len(put) > 1 else ""
    context = {
        "heading": f"{mark}{about.name}: {put[0][1].headline}{more}",
        "is_good": False,
        "lead": lead,
        "sections": [
            {
                "title": _upper(said.headline),
                "rows": [
                    *_sources(frame),
                    ("Expected", said.expected),
                    *(("What came" if n == 0 else "", line) for n, line in enumerate(said.came)),
                    (
                        "Since",
                        f"{about.moment(one.facts['since'])}; noticed {about.moment(one.opened_at.isoformat())}"
                        f" as incident {one.incident_id}.",
                    ),
                ],
                "todo": said.todo,
            }
            for one, said in put
        ],
        "blocks": _blocks(frame),
    }
    return _render(context, frame, "landing" if "message" in told[0].facts else "raw")


def _shown(told: Sequence[Incident], frame: Frame) -> list[Incident]:
    """Leave out what a held file explains; of what has befallen several sources one speaks for all."""
    if frame.about.others:
        return list(told[:1])
    held = {batch["batch_id"] for one in told if one.kind == "held" for batch in one.facts["batches"]}
    return [one for one in told if one.kind not in FOLDED or one.facts["batches"][0]["batch_id"] not in held]


def _sources(frame: Frame) -> list[tuple[str, str]]:
    """Name the sources, if there are several."""
    return [("Sources", ", ".join([frame.about.source.title, *frame.about.others]))] * bool(frame.about.others)


def _blocks(frame: Frame) -> list[str]:
    """Say what waits for these sources; of several that the same waits for, once."""
    lines: dict[str, list[str]] = {}
    for source, found in frame.blocks:
        for line in _blocked(source, found):
            lines.setdefault(line, []).append(source.title)
    all_of_them = len(frame.blocks)
    return [line if len(who) == all_of_them else f"{', '.join(who)}: {line}" for line, who in lines.items()]


def _blocked(source: Source, found: impact.Impact | None) -> list[str]:
    if found is None:
        if source.category is not None:
            return ["Nothing of this source has been used yet."]
        return ["All that reads this list goes on with the last good one."]
    if not found.incomplete:
        return ["No day is incomplete so far: no score and no student is touched."]
    monday = found.week_start + timedelta(days=7)
    lines = [
        f"Incomplete: {impact.spans(found.incomplete)}. "
        "On these days nobody counts as absent: what they did is unknown."
    ]
    week = f"The score of the week from {impact.said(found.week_start)}"
    if (left := found.possible - found.needed) < 0:
        lines.append(
            f"{week} will be made without this source, which needs {found.needed} complete days and has "
            f"{found.possible} at most, unless what is missing comes before Monday {impact.said(monday)}, "
            f"{found.wait_until:%H:%M}."
        )
    else:
        many = f"no more than {left} further day{'s' * (left > 1)}" if left else "no further day"
        lines.append(f"{week} still counts it, if {many} will be incomplete.")
    return lines


def _render(context: dict[str, Any], frame: Frame, room: str) -> Letter:
    source = frame.about.source
    also = [
        f"{_upper(words(one.kind, one.facts, frame.about).headline)} (since {frame.about.moment(one.facts['since'])})"
        for one in frame.also
    ]
    context |= {"also": also, "held_back": frame.held_back, "engineers": frame.about.engineers}
    link = f"{frame.base_url.rstrip('/')}/assets/{room}/{source.id}"
    return _finish(context, [(f"{source.title} in Dagster", link)])


def _finish(context: dict[str, Any], links: list[tuple[str, str]]) -> Letter:
    context = {"also": [], "held_back": [], "engineers": None, "links": links} | context
    sections = context["sections"]
    card = Card(
        title=context["heading"],
        lead=context["lead"],
        facts=[(title or "…", value) for section in sections for title, value in section["rows"]]
        + [("What it blocks", line) for line in context["blocks"]]
        + [("Held back before", f"{len(context['held_back'])} messages")] * bool(context["held_back"]),
        todo=[step for section in sections for step in section["todo"]],
        links=links,
        is_good=context["is_good"],
    )
    pages = templates()
    text, html = (pages.get_template(f"letter.{kind}.j2").render(context) for kind in ("txt", "html"))
    return Letter(context["heading"], text, html, card)


@cache
def templates() -> Environment:
    """Return the pages of every letter."""
    return Environment(
        loader=PackageLoader("engage"),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _age(told: Sequence[Incident], frame: Frame) -> str:
    oldest = min(one.opened_at for one in told)
    hours = int((frame.now - oldest).total_seconds() // 3600)
    return f"{hours // 24} days" if hours >= 48 else f"{hours} hours"


def _upper(text: str) -> str:
    # The name of a file stays as it is.
    return text[:1].upper() + text[1:] if text.partition(" ")[0].isalpha() else text
