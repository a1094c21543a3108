"""Which case an action of a student belongs to: the open one of the CRM's lists, the one we asked for, or a new one.

Plain values in, plain values out. Where they come from and what is then written is casework.py's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal
from uuid import UUID, uuid4, uuid5

OURS_FOR = timedelta(days=30)
"""So long a case that we asked for is taken for open while no list shows it."""
_OF_OTHERS = UUID("5f8f0c0e-6c0b-4f0e-9d5c-0c9d6a3f7b21")


@dataclass(frozen=True)
class Listed:
    """A case of the student as the newest list has it."""

    case_id: str
    opened_at: datetime
    closed_at: datetime | None
    opened_on: date | None = None
    """The day, where the list knows no time of day."""


@dataclass(frozen=True)
class Asked:
    """Something that we asked of the CRM and that was not given up."""

    case_key: UUID
    case_id: str | None
    """The CRM's own, as known when we asked or as answered."""
    asked_at: datetime
    asked_on: date
    sent_at: datetime | None
    """None: it is on its way."""


@dataclass(frozen=True)
class Place:
    """Where an action goes."""

    action: Literal["open", "append"]
    case_key: UUID
    case_id: str | None


def place(listed: Sequence[Listed], asked: Sequence[Asked], now: datetime, used: UUID | None = None) -> Place:
    """Return where the next action of a student goes. `asked`: in the order in which we did.

    `used`: the key of the action itself, if it waits and is placed anew, or of one that was given up. What opens a case
    keeps it where it can: the CRM may have taken it without our having heard, and then knows the key.
    """
    if still_open := [case for case in listed if case.closed_at is None or case.closed_at > now]:
        newest = max(still_open, key=lambda case: (case.opened_at, case.case_id))
        return Place("append", _key_of(newest, asked), newest.case_id)
    if asked:
        last = [one for one in asked if one.case_key == asked[-1].case_key]
        sent = [one.sent_at for one in last if one.sent_at is not None]
        is_on_its_way = len(sent) < len(last)
        if is_on_its_way or (not _shown(last, listed) and now - min(sent) <= OURS_FOR):
            return Place("append", last[-1].case_key, _id_of(last))
    is_over = any(one.case_key == used for one in asked)
    return Place("open", uuid4() if used is None or is_over else used, None)


def _key_of(case: Listed, asked: Sequence[Asked]) -> UUID:
    """Return our key of a case of the list: that under which we asked for it, else one of its own."""
    for one in reversed(asked):
        if one.case_id == case.case_id:
            return one.case_key
    if asked:
        last = [one for one in asked if one.case_key == asked[-1].case_key]
        if _id_of(last) is None and _shown(last, [case]):
            return last[-1].case_key
    return uuid5(_OF_OTHERS, case.case_id)


def _shown(group: Sequence[Asked], listed: Sequence[Listed]) -> bool:
    """Say whether the list has the case that these actions are about: then the list knows best."""
    if (known := _id_of(group)) is not None:
        return any(case.case_id == known for case in listed)
    first = min(group, key=lambda one: one.asked_at)
    return any(
        case.opened_at >= first.asked_at
        # a list of days does not say whether it was before; closed before, it was not ours
        or (case.opened_on == first.asked_on and not (case.closed_at and case.closed_at < first.asked_at))
        for case in listed
    )


def _id_of(group: Sequence[Asked]) -> str | None:
    return next((one.case_id for one in reversed(group) if one.case_id is not None), None)
