"""Messages to people: what is open becomes one digest for each reader and day, or a letter at once if a rule says so.

Each message is written in one transaction with marking done what it tells. Who reads it is recipients.py's, what it
says people_letters.py's, when it leaves outbox.py's; what was told and does not hold is corrections.py's.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from engage import clock, outbox
from engage.contact import people, people_letters, recipients, visa_digest
from engage.contact.recipients import Waiting
from engage.messaging import Messaging, load_messaging
from engage.outbox import Draft
from engage.settings import Settings
from engage.warehouse import Connection

STUDENT_PAUSE = timedelta(days=7)
"""Between two letters to a student."""
WRITTEN_TO = "written to already"
_LOCK = "select pg_advisory_xact_lock(hashtext('engage.contact.bundles:' || %s))"
_TAKE = """
select action_id from ops.action where action_id = any(%s) and state = 'open' order by action_id for update skip locked
"""
_DONE = "update ops.action set state = 'done', message_id = %s where action_id = any(%s)"
_WRITTEN_TO = """
select exists (
    select from ops.action as a inner join ops.outbox as o using (message_id)
    where
        a.student_id = %s and a.target = 'student' and a.kind <> 'correction'
        and o.created_at > %s and o.state = any(%s)
)
"""
_MESSAGES = """
select kind, state, count(*) from ops.outbox where kind <> 'owner' group by kind, state order by kind, state
"""
_KNOWN = "select message_id, state from ops.outbox where message_key = %s"
_SUPPRESSED = """
select why, count(*) from ops.action where state = 'suppressed' group by why order by count(*) desc, why
"""
_OLDEST = "select min(created_at) from ops.outbox where kind <> 'owner' and state = 'pending'"


@dataclass(frozen=True)
class Counts:
    """What stands in the outbox for people and the CRM, and what was left unsaid."""

    messages: dict[tuple[str, str], int]
    """By kind and state."""
    suppressed: dict[str, int]
    """Actions by the reason why nothing came of them."""
    oldest_waiting: datetime | None


@dataclass(frozen=True)
class _Bundle:
    """What one message tells."""

    key: str
    kind: str
    address: str
    told: list[Waiting] = field(default_factory=list)

    @property
    def is_letter(self) -> bool:
        """Whether a student reads it."""
        return self.told[0].to_student


def write(connection: Connection, settings: Settings, now: datetime) -> dict[str, int]:
    """Write what is open and may be told now; return how many messages of each kind. Commits after each.

    Nothing is written while it is quiet, and no digest before its hour. May be killed anywhere, and run by several at
    once. Raises ConfigurationError.
    """
    messaging = load_messaging(settings.config)
    local = clock.local(connection, now)
    connection.commit()
    written: dict[str, int] = {}
    if messaging.quiet_hours.hold(local):
        return written
    waiting = recipients.waiting(connection, messaging, now, local)
    corrections = [one for one in waiting if one.kind == "correction"]
    frame = people_letters.Frame(
        messaging,
        local,
        people.students(connection, {one.student_id for one in waiting}, now),
        people.came_since(connection, corrections),
    )
    connection.commit()
    for bundle in _bundles(waiting, local, messaging):
        with connection.transaction():
            if _write(connection, bundle, frame, now):
                written[bundle.kind] = written.get(bundle.kind, 0) + 1
    if visa_digest.write(connection, messaging, now, local):
        written["digest"] = written.get("digest", 0) + 1
    return written


def counts(connection: Connection) -> Counts:
    """Return what stands in the outbox for people and the CRM, and what was left unsaid. Names nobody."""
    messages: list[tuple[str, str, int]] = connection.execute(_MESSAGES).fetchall()  # type: ignore[assignment]
    suppressed: list[tuple[str, int]] = connection.execute(_SUPPRESSED).fetchall()  # type: ignore[assignment]
    oldest = connection.execute(_OLDEST).fetchone()
    return Counts(
        {(kind, state): number for kind, state, number in messages},
        dict(suppressed),
        oldest[0] if oldest and isinstance(oldest[0], datetime) else None,
    )


def waiting(connection: Connection) -> int:
    """Return how many things there are to tell staff or students, now or at their hour."""
    row = connection.execute(
        "select count(*) from ops.action where state = 'open' and kind not in ('case', 'ladder')"
    ).fetchone()
    return int(str(row and row[0]))


def name_of(personal: str) -> str:
    """Return a name for an address or a student number that may stand in a key: the same always, and not told back."""
    return hashlib.sha256(personal.lower().encode()).hexdigest()[:16]


def _bundles(waiting: Sequence[Waiting], local: datetime, messaging: Messaging) -> Iterator[_Bundle]:
    """Divide what waits into messages; what is for a digest is left out before its hour."""
    readers: dict[str, list[Waiting]] = {}
    for one in waiting:
        if one.to_student:
            kind = "correction" if one.kind == "correction" else "student"
            yield _Bundle(f"{kind}:{one.action_id}", kind, str(one.address), [one])
        else:
            readers.setdefault(str(one.address).lower(), []).append(one)
    for address, some in readers.items():
        left = {one.action_id: one for one in some}
        for one in sorted((one for one in some if one.is_immediate), key=lambda one: one.kind != "correction"):
            if left.pop(one.action_id, None) is None:
                continue
            with_it = [new for new in left.values() if one.kind == "correction" and people_letters.is_folded(new, one)]
            kind = "correction" if one.kind == "correction" else "immediate"
            yield _Bundle(f"{kind}:{one.action_id}", kind, address, [one, *with_it])
            for new in with_it:
                del left[new.action_id]
        if left and local.time() >= messaging.digest_at:
            yield _Bundle(f"digest:{name_of(address)}:{local.date()}", "digest", address, list(left.values()))


def _write(connection: Connection, bundle: _Bundle, frame: people_letters.Frame, now: datetime) -> bool:
    """Write one message and mark done what it tells; say whether there was anything left to tell."""
    student_id = bundle.told[0].student_id
    connection.execute(_LOCK, [name_of(student_id) if bundle.is_letter else bundle.key])
    before = connection.execute(_KNOWN, [bundle.key]).fetchone()
    # One digest a day: what came later waits for the next, unless the one of today was taken back.
    if before and before[1] != "suppressed":
        return False
    taken = {int(str(row[0])) for row in connection.execute(_TAKE, [[one.action_id for one in bundle.told]]).fetchall()}
    told = [one for one in bundle.told if one.action_id in taken]
    if not told:
        return False
    if bundle.kind == "student":
        row = connection.execute(_WRITTEN_TO, [student_id, now - STUDENT_PAUSE, frame.messaging.told]).fetchone()
        if row == (True,):
            # A step of a ladder is waited for.
            recipients.suppress(connection, [one.action_id for one in told if one.kind == "email_student"], WRITTEN_TO)
            return False
    letter = people_letters.to_student(told[0], frame) if bundle.is_letter else people_letters.to_staff(told, frame)
    draft = Draft(
        bundle.key,
        "email",
        bundle.address,
        letter.subject,
        letter.text,
        letter.html,
        kind=bundle.kind,
        order_key=f"letter:{name_of(student_id)}" if bundle.is_letter else None,
    )
    if before:
        message_id = int(str(before[0]))
        outbox.rewrite(connection, message_id, draft, now)
    else:
        message_id = outbox.write(connection, draft, now, suppress=False)
    connection.execute(_DONE, [message_id, sorted(taken)])
    return True
