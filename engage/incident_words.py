"""How each kind of incident is put to a person: what was expected, what came, what to do. One function per kind.

Words only: layout is the templates', and who reads them incidents.py's. Facts hold no value of a row, so no words do.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from engage import impact
from engage.sources import Source
from engage.transports import FileDrop, Sftp

Facts = Mapping[str, Any]
_CADENCE = {"several_a_day": "several times a day", "daily": "every day", "weekly": "every week", "termly": "each term"}


@dataclass(frozen=True)
class Words:
    """One incident, ready to be laid out."""

    headline: str
    """Completes the sentence `<title>: ...`."""
    expected: str
    came: list[str]
    todo: list[str]


@dataclass(frozen=True)
class About:
    """What the words need to know besides the facts."""

    source: Source
    zone: ZoneInfo
    titles: Mapping[str, str]
    """Rule -> the sentence that is true of a good row."""
    engineers: str
    others: tuple[str, ...] = ()
    """Titles of other sources of the same server that the same has befallen."""
    cause: str | None = None
    """Kind of what keeps us from collecting the source, when something does."""

    @property
    def name(self) -> str:
        """What a message is about: `Gates`, `Gates and 3 more`."""
        return f"{self.source.title} and {len(self.others)} more" if self.others else self.source.title

    @property
    def its(self) -> str:
        """Its, or their."""
        return "their" if self.others else "its"

    def moment(self, iso: str) -> str:
        """Say an instant in the institution's time: `Fri 13 November 2026, 06:02`."""
        local = datetime.fromisoformat(iso).astimezone(self.zone)
        return f"{local:%a} {impact.said(local.date())}, {local:%H:%M}"


def words(kind: str, facts: Facts, about: About) -> Words:
    """Put an incident into words."""
    return _WORDS[kind](facts, about)


def _stale(facts: Facts, about: About) -> Words:
    source = about.source
    limit = f"never more than {source.freshness.fail_after_h:g} hours old"
    quiet = f" ({', '.join(source.freshness.quiet_weekdays)} not counted)" if source.freshness.quiet_weekdays else ""
    until = facts["data_until"]
    came = [f"Nothing newer than {about.moment(until)}: {facts['age_h']} hours ago." if until else "Nothing yet."]
    if facts["last"]:
        came.append(f"The last delivery was {facts['last']['name']}, on {about.moment(facts['last']['landed_at'])}.")
    at = f"by {source.delivered_at:%H:%M}"
    todo = [
        f"Look whether the export of {source.system} still runs and {_where(source)}.",
        "Send what is missing, day by day or in one go: it is collected and checked by itself.",
    ]
    if about.cause == "configuration":
        todo = [f"Nothing: we cannot collect it, and the data engineers ({about.engineers}) put that right."]
    elif about.cause:
        todo = ["First what keeps us from collecting it; what waits there is collected by itself afterwards."]
    return Words(
        f"no new data since {about.moment(until)}" if until else "no data has come yet",
        f"Data {_CADENCE[source.cadence]} {at}, {limit}{quiet}.",
        came,
        todo,
    )


def _held(facts: Facts, about: About) -> Words:
    batches = facts["batches"]
    came = [f"{_file(batch)}: {_without_name(batch)}" for batch in batches]
    if (more := facts["files"] - len(batches)) > 0:
        came.append(f"And {more} more.")
    came += _rules(batches[0], about)
    one = facts["files"] == 1
    todo = [
        f"Correct it in {about.source.system} and send {'the file' if one else 'the files'} again: "
        "a corrected delivery replaces what is held. Nothing of a held file is used."
    ]
    # In what could not be read there is nothing to release.
    if readable := [batch["batch_id"] for batch in batches if batch["rules"]]:
        todo.append(
            f"If it is right as it is, say so to the data engineers ({about.engineers}): "
            f"they release it with `engage batch release {readable[0]} --reason ...`."
        )
    return Words(
        f"{batches[0]['name']} is held back" if one else f"{facts['files']} deliveries are held back",
        "Files that can be read, break no rule that must hold, and score at least 80 of 100.",
        came,
        todo,
    )


def _low_quality(facts: Facts, about: About) -> Words:
    (batch,) = facts["batches"]
    return Words(
        f"quality is {batch['quality']:g} of 100",
        f"At least {facts['min_quality']:g} of 100: below that a source does not count in any score.",
        [f"{_file(batch)} scored {batch['quality']:g}.", *_rules(batch, about)],
        [f"Correct it in {about.source.system} and send it again."],
    )


def _quality_fell(facts: Facts, about: About) -> Words:
    (batch,) = facts["batches"]
    return Words(
        f"quality fell from {facts['median']:g} to {batch['quality']:g}",
        f"About {facts['median']:g} of 100, as in the last {facts['of']} accepted deliveries (their median).",
        [f"{_file(batch)} scored {batch['quality']:g}. It was accepted; its bad rows were not.", *_rules(batch, about)],
        [f"Look what changed in {about.source.system} or in its export before it gets worse."],
    )


def _format_drift(facts: Facts, about: About) -> Words:
    (batch,) = facts["batches"]
    name = about.source.id
    return Words(
        "the format of the file has changed",
        f"The columns {', '.join(about.source.headings)}.",
        [f"{_file(batch)}: {'; '.join(facts['drift']).removeprefix(_prefix(batch))}"],
        [
            "If this is a mistake, put the columns back as they were and send the file again.",
            f"If it is meant, tell the data engineers ({about.engineers}) what the new columns hold: they change "
            f"`config/sources/{name}.yaml` and try it out with `engage source check {name} --sample FILE`.",
        ],
    )


def _unreachable(facts: Facts, about: About) -> Words:
    return Words(
        f"{about.its} server cannot be reached",
        f"{about.source.system} answers whenever it is asked.",
        [facts["message"]],
        [
            f"Look whether the server of {about.source.system} runs and may be reached from ours (network, firewall).",
            "Nothing needs to be sent again: what waits there is collected once it answers.",
        ],
    )


def _access_refused(facts: Facts, about: About) -> Words:
    return Words(
        f"{about.its} server refuses us",
        f"{about.source.system} lets us read what it delivers.",
        [facts["message"]],
        [
            "Put right what the message says, or give us the new access.",
            f"It is tried again by itself; the data engineers ({about.engineers}) can try it at once by materialising "
            f"`landing/{about.source.id}`.",
        ],
    )


def _host_key(facts: Facts, about: About) -> Words:
    return Words(
        f"{about.its} server shows another host key",
        "The host key that was confirmed when the source was set up.",
        [facts["message"]],
        [
            f"Owner: say to the data engineers ({about.engineers}), by telephone, whether the key was changed, and its "
            "fingerprint. If it was not, somebody may be listening: call your security team.",
            f"Data engineers: only then run `engage source trust {about.source.id}`. Until then nothing is read.",
        ],
    )


def _configuration(facts: Facts, about: About) -> Words:
    return Words(
        "our configuration of it is wrong",
        f"`config/sources/{about.source.id}.yaml` and the secrets that it names are complete.",
        [facts["message"]],
        [
            f"Data engineers: correct it and check with `engage source check {about.source.id}`. "
            "The owner need not do anything."
        ],
    )


_WORDS: dict[str, Callable[[Facts, About], Words]] = {
    "stale": _stale,
    "held": _held,
    "low_quality": _low_quality,
    "quality_fell": _quality_fell,
    "format_drift": _format_drift,
    "unreachable": _unreachable,
    "access_refused": _access_refused,
    "host_key": _host_key,
    "configuration": _configuration,
}


def _where(source: Source) -> str:
    match source.transport:
        case Sftp() | FileDrop() as transport:
            return f"puts its files into {transport.folder}"
        case _:
            return "answers for the days that are missing"


def _file(batch: Facts) -> str:
    days = impact.spans([date.fromisoformat(day) for day in batch["days"]]) if len(batch["days"]) == 1 else ""
    return f"{batch['name']} ({days})" if days else str(batch["name"])


def _without_name(batch: Facts) -> str:
    return str(batch["problem"] or "did not pass").removeprefix(_prefix(batch))


def _prefix(batch: Facts) -> str:
    return f"{batch['name']}: "


def _rules(batch: Facts, about: About) -> list[str]:
    """Say which rules were not met by how many rows."""
    return [
        f"Rule not met: {about.titles.get(rule['rule_id'], rule['rule_id'])}"
        + (f" ({rule['rows_failed']:,} of {rule['rows_checked']:,} rows)." if rule["rows_failed"] else ".")
        for rule in batch["rules"]
    ]
