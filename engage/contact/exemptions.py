"""Exemptions that are decided here: made, extended, moved and deleted under the rules of scoring.md, with who and when.

What is decided today holds from tomorrow: a day up to and including today neither becomes exempt nor stops being so.
Files of them are exemption_files.py's; the registry's own lists come as a feed, and dbt puts both together.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from engage.contact import exemption_store as store
from engage.contact.exemption_store import Action, Book, Exemption
from engage.contact.exemption_store import Signed as Signed
from engage.contact.exemption_store import Wish as Wish
from engage.contact.exemption_store import today_of as today_of
from engage.decisions import DecisionError
from engage.warehouse import Connection

TYPES = (
    "Authorised Absence",
    "Break in Learning (DA)",
    "Dissertation Period",
    "Practice Placement Block",
    "Withdrawn",
)
_OVERLAPS = "exemption {} of the same type covers {} to {} already: extend or move that one"


@dataclass(frozen=True)
class Done:
    """What became of a wish or a change."""

    exemption_id: int
    said: str
    """In a sentence that names no student."""
    is_news: bool = True
    """False: it was so already."""


@dataclass(frozen=True)
class _Change:
    """What an exemption becomes, and the days of another that takes over from it after a gap."""

    becomes: Exemption
    later: tuple[date, date] | None = None


_Changed = Callable[[Exemption, date], _Change]
"""From an exemption and today what it becomes; raises DecisionError."""


def add(connection: Connection, wish: Wish, signed: Signed) -> Done:
    """Exempt a student from a day after today on. Commits. The same wish again changes nothing, also once it has begun.

    Raises DecisionError: no type of ours, days that cannot be, a student nobody knows, or the same type overlaps.
    """
    with connection.transaction():
        today = _begin(connection, signed)
        done = _add(connection, wish, signed, store.book_of(connection, [wish.student_id], today))
    # In a transaction of the caller's the block above is only a savepoint.
    connection.commit()
    return done


def add_each(connection: Connection, wishes: Sequence[Wish], signed: Signed) -> list[Done | DecisionError]:
    """Add many as `add` does, each in a transaction of its own; return what became of each, or why nothing did.

    Commits. 5,000 take about a second. Raises DecisionError when nobody signs.
    """
    connection.commit()
    own, connection.autocommit = connection.autocommit, True
    try:
        connection.execute(f"select pg_advisory_lock({store.LOCK})")
        today = _begin(connection, signed)
        # The commit of what comes last is waited for, and makes all before it last, too.
        connection.execute("set synchronous_commit = off")
        book = store.book_of(connection, [wish.student_id for wish in wishes], today)
        return [_tried(connection, wish, signed, book) for wish in wishes]
    finally:
        connection.execute("reset synchronous_commit")
        connection.execute("select pg_current_xact_id()")
        connection.execute(f"select pg_advisory_unlock({store.LOCK})")
        connection.autocommit = own


def extend(connection: Connection, exemption_id: int, ends_on: date, signed: Signed) -> Done:
    """Let an exemption that ends after today end later still. Commits. Raises DecisionError."""

    def extended(old: Exemption, _: date) -> _Change:
        if ends_on < old.ends_on:
            raise DecisionError(f"{old}: {ends_on} is no later end; move it to end it earlier")
        return _Change(replace(old, ends_on=ends_on))

    return _change(connection, "extend", exemption_id, signed, extended)


def move(connection: Connection, exemption_id: int, starts_on: date | None, ends_on: date, signed: Signed) -> Done:
    """Give an exemption that ends after today other days; without `starts_on` only another end. Commits.

    One that has not begun may start on any day after today. One that has begun keeps its days up to today: it ends
    today at the earliest, and moved to a first day after today it ends today and a new one takes over from there.
    Raises DecisionError.
    """

    def moved(old: Exemption, today: date) -> _Change:
        first = starts_on or old.starts_on
        if ends_on < first:
            raise DecisionError(f"{old}: it cannot end on {ends_on}, before it starts")
        if first > today:
            if old.starts_on > today:
                return _Change(replace(old, starts_on=first, ends_on=ends_on))
            return _Change(replace(old, ends_on=today), (first, ends_on))
        if first != old.starts_on:
            raise DecisionError(f"{old}: its first day can only be one after today, {today}; what has passed stays")
        if ends_on < today:
            raise DecisionError(f"{old}: it has begun, and the days up to today stay: it can end on {today} or later")
        return _Change(replace(old, ends_on=ends_on))

    return _change(connection, "move", exemption_id, signed, moved)


def delete(connection: Connection, exemption_id: int, signed: Signed) -> Done:
    """Take an exemption back that ends after today. Commits. One that has begun ends today: its days until then stay.

    Raises DecisionError.
    """

    def deleted(old: Exemption, today: date) -> _Change:
        if old.starts_on > today:
            return _Change(replace(old, is_deleted=True))
        return _Change(replace(old, ends_on=today))

    return _change(connection, "delete", exemption_id, signed, deleted)


def _begin(connection: Connection, signed: Signed) -> date:
    """Let nobody else change exemptions until the transaction ends; return today."""
    if not signed.by.strip():
        raise DecisionError("an exemption needs the name of who decides on it")
    connection.execute(f"select pg_advisory_xact_lock({store.LOCK})")
    return today_of(connection, signed.at)


def _tried(connection: Connection, wish: Wish, signed: Signed, book: Book) -> Done | DecisionError:
    try:
        return _add(connection, wish, signed, book)
    except DecisionError as error:
        return error


def _add(connection: Connection, wish: Wish, signed: Signed, book: Book) -> Done:
    if wish.exemption_type not in TYPES:
        raise DecisionError(f"the type must be one of {', '.join(TYPES)}")
    if wish.ends_on < wish.starts_on:
        raise DecisionError(f"it cannot end on {wish.ends_on}, before it starts")
    if wish.student_id not in book.known:
        raise DecisionError("no roster has named this student")
    if other := book.overlapping(wish):
        if other[1:] == (wish.starts_on, wish.ends_on):
            return Done(other[0], f"exemption {other[0]} is there already", is_news=False)
        raise DecisionError(_OVERLAPS.format(*other))
    if wish.starts_on <= book.today:
        raise DecisionError(f"it can start after today only, on {book.today + timedelta(1)} or later")
    number = store.write(connection, wish, signed)
    book.enter(number, wish)
    return Done(number, f"exemption {number} is made")


def _change(connection: Connection, action: Action, exemption_id: int, signed: Signed, changed: _Changed) -> Done:
    with connection.transaction():
        today = _begin(connection, signed)
        if (old := store.find(connection, exemption_id)) is None:
            raise DecisionError(f"there is no exemption {exemption_id}")
        done = _apply(connection, action, old, signed, today, changed)
    connection.commit()
    return done


def _apply(
    connection: Connection, action: Action, old: Exemption, signed: Signed, today: date, changed: _Changed
) -> Done:
    if action == old.last_action == "delete":
        return Done(old.exemption_id, f"{old} is deleted already", is_news=False)
    if old.is_deleted:
        raise DecisionError(f"{old} is deleted")
    if old.ends_on <= today:
        raise DecisionError(f"{old} ends today or has ended, and stays as it is: add another")
    change = changed(old, today)
    new = change.becomes
    if new == old:
        return Done(old.exemption_id, f"{old} is so already", is_news=False)
    book = store.book_of(connection, [old.student_id], today)
    later = Wish(old.student_id, old.exemption_type, *change.later) if change.later else None
    now = None if new.is_deleted else Wish(old.student_id, old.exemption_type, new.starts_on, new.ends_on)
    for wish in (now, later):
        if wish and (other := book.overlapping(wish, old.exemption_id)):
            raise DecisionError(f"{old}: {_OVERLAPS.format(*other)}")
    store.rewrite(connection, action, new, signed)
    if new.is_deleted:
        return Done(old.exemption_id, f"{old} is deleted")
    said = f"{new} is what it is now"
    if later:
        number = store.write(connection, later, signed)
        said += f"; exemption {number} ({later.starts_on} to {later.ends_on}) takes over from it"
    return Done(old.exemption_id, said)
