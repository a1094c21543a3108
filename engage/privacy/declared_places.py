"""What each table of the warehouse holds of students, table by table, in the order in which rows may be deleted.

Data only, for engage.privacy.places, which also knows those that need no word: tables with a column student_id. The
terms are place.py's.
"""

from engage.privacy.place import BY_STUDENT, Place, named_in, naming, nothing, of

# A number of a row is no reference, and one that was handed on may be somebody else's by now.
_LOADED = """exists (
    select from jsonb_path_query(to_jsonb(t) - 'row_number', 'strict $.**') as v (value)
    where
        jsonb_typeof(v.value) in ('string', 'number') and lower(btrim(v.value #>> '{}')) = any(%(refs)s)
        and not exists (
            select from pii.identity as i
            where lower(i.ref) = lower(btrim(v.value #>> '{}')) and i.student_id <> all(%(students)s)
        )
)"""

# A reference that was somebody else's on the day of the row says nothing of this student.
_QUARANTINED = """(
    t.student_ref is not null or t.record is not null
) and exists (
    select from (
        select lower(btrim(v.value #>> '{}')) as ref from jsonb_path_query(t.record, 'strict $.**') as v (value)
        where jsonb_typeof(v.value) in ('string', 'number')
        union all select lower(btrim(t.student_ref))
    ) as said
    where
        (said.ref = any(%(refs)s) or (said.ref ~ '[^[:digit:]]' and said.ref ~ %(words)s))
        and not exists (
            select from pii.identity as i
            inner join ops.batch_day as d on d.batch_id = t.batch_id and d.day >= i.valid_from and d.day < i.valid_to
            where lower(i.ref) = said.ref and i.student_id <> all(%(students)s)
        )
)"""
# Whose a row is, its reference says; without one, a field that is nothing else; a line that cannot be read is theirs.
_QUARANTINED_OWN = """case
    when btrim(t.student_ref) <> '' then t.student_ref ~* %(words)s
    when t.record = jsonb_build_object('line', t.record -> 'line') then true
    else exists (
        select from jsonb_path_query(t.record, 'strict $.**') as v (value)
        where jsonb_typeof(v.value) in ('string', 'number') and lower(btrim(v.value #>> '{}')) = any(%(refs)s)
    )
end"""

_OUTBOX = ("message_key", "recipient", "subject", "text", "html", "payload", "error", "reply")

# As long as the last list that named the student, or as what they belong to.
_LISTED = "(select p.as_of_date from pii.student as p where p.student_id = t.student_id)"
_TRIGGERED = "(select p.trigger_date from ops.notification as p where p.notification_id = t.notification_id)"
_EXCUSED = "(select p.ends_on from ops.exemption as p where p.exemption_id = t.exemption_id)"

_TOLD = of("notification", "notification_id")
_OF_A_FILE = "Faults of a file in whose description you are named"
_OF_A_SOURCE = "Faults of a source in whose description you are named"

# What refers to others stands before what it refers to.
_DONE = [
    Place(
        "ops.case_action",
        "What the student support system was asked to do about you",
        BY_STUDENT,
        "cases",
        "t.created_at",
    ),
    Place(
        "ops.action",
        "What was to be done about a notification, and whether it was",
        BY_STUDENT,
        "cases",
        "t.created_at",
    ),
    Place("ops.ladder_run", "Sequences of attempts to get in touch with you", BY_STUDENT, "cases", "t.started_on"),
    Place("ops.rule_decision", "Which alert rules were asked about a notification", _TOLD, "notifications", _TRIGGERED),
    Place(
        "ops.notification_fact", "What was known of you when you had been silent", _TOLD, "notifications", _TRIGGERED
    ),
    Place("intermediate.int_inactivity_withdrawn", "Notifications about to be taken back", _TOLD),
    Place("ops.notification", "What you triggered, when and why", BY_STUDENT, "notifications", "t.trigger_date"),
    Place(
        "ops.outbox",
        "Messages to you, and to others about you",
        f"({of('action', 'message_id')} or {of('case_action', 'message_id')} or {named_in(*_OUTBOX)})",
        "messages",
        "t.created_at",
        erase="apart",
        names=_OUTBOX,
    ),
    Place(
        "ops.exemption_change",
        "Who changed an authorised absence, when and why",
        of("exemption", "exemption_id"),
        "exemptions",
        _EXCUSED,
    ),
    Place("ops.exemption", "Authorised absences decided here", BY_STUDENT, "exemptions", "t.ends_on"),
]

_LOADING = [
    Place(
        "quarantine.row",
        "Rows from sources that were kept out because something was wrong with them",
        _QUARANTINED,
        "source",
        "t.quarantined_at",
        erase="unname",
        names=("student_ref", "record", "reason"),
        own=_QUARANTINED_OWN,
    ),
    Place("load.text_*", "Working copy of what was loaded last", f"({_LOADED} or t.line ~* %(words)s)"),
    Place("load.rows_*", "Working copy of what was loaded last", _LOADED),
    *nothing("load.out_*", "line numbers of what is being loaded"),
]

# Requests, holds, leave and deletions are the proof that rights were kept.
_RIGHTS = [
    Place(
        "ops.subject_request",
        "What you asked of your data, and when it was done",
        BY_STUDENT,
        "rights",
        "t.completed_at",
        erase="apart",
    ),
    Place(
        "ops.legal_hold",
        "That nothing about you may be deleted for the time being",
        BY_STUDENT,
        "rights",
        "t.released_at",
    ),
    Place(
        "ops.access_grant",
        "Who was given leave to see what is held about you",
        f"({BY_STUDENT} or {named_in('reason', 'revoke_reason')})",
        "rights",
        "least(t.revoked_at::date, t.last_day)",
        erase="unname",
        names=("student_id", "reason", "revoke_reason"),
    ),
    naming("ops.deletion_run", "Why something was deleted, where you are named", "reason", "forever"),
]

_TEXTS = [
    naming("ops.delivery", "Files whose name names you", "name", dated="t.landed_at"),
    naming("ops.sighting", "Files seen at a source whose name names you", "name problem", dated="t.seen_at"),
    naming("ops.batch", _OF_A_FILE, "problem notes format_drift broken_rules dropped", dated="t.started_at"),
    naming("ops.rule_result", _OF_A_FILE, "problem"),
    naming("ops.decision", "Why somebody decided about a file, where you are named", "reason", dated="t.decided_at"),
    naming("ops.incident", _OF_A_SOURCE, "facts", dated="t.resolved_at"),
    naming("ops.source_fault", _OF_A_SOURCE, "message", dated="t.last_at"),
    naming("ops.audit", "Who was shown what, where you are named", "action", dated="t.happened_at"),
    naming("ops.publication", "Why a week was restated, where you are named", "reason", "forever"),
    naming("ops.config_change", "Why a configuration was changed, where you are named", "reason difference", "forever"),
    naming("ops.rule_activation", "Why an alert rule was switched, where you are named", "reason", "forever"),
]

# Who somebody is goes last: until then the rest of what is known of them can be found.
_WHO = [
    Place(
        "pii.identity_sighting",
        "When the registry said that a badge, user name or address is yours",
        BY_STUDENT,
        "people",
        _LISTED,
    ),
    Place("pii.identity", "Badges, user names and addresses that are yours", BY_STUDENT, "people", _LISTED),
    Place("pii.student", "Your name and e-mail address", BY_STUDENT, "people", "t.as_of_date"),
]

# Of what is made anew, what is only added to; and what ages with what it is made from.
_MADE = [
    Place("intermediate.int_day_engagement", "How engaged you were each day", BY_STUDENT, "marts", "t.day"),
    Place("intermediate.int_week_activity", "Your weeks, summed by source", BY_STUDENT, "marts", "t.week_start"),
    Place("intermediate.int_student_trace", "What your weekly score rests on", BY_STUDENT, "marts", "t.week_start"),
    Place("intermediate.int_rule_fact", "What alert rules knew of you each week", BY_STUDENT, "marts", "t.week_start"),
    Place("marts.case_action", "What the student support system was asked to do about you"),
    Place("marts.contact_list", "Whether you stand on today's list of students to get in touch with, and why"),
    Place("marts.contact_step", "Steps taken to get in touch with you"),
    Place("marts.sponsored_contact_point", "Contact points that the sponsorship of your visa asks for"),
    Place("marts.student_view", "What you are shown of it yourself"),
    Place("marts.termly_review", "When each system last saw you in a term"),
]

_NOBODY = [
    *nothing("pii.staff", "names and addresses of staff", "staff", "t.as_of_date"),
    *nothing("ops.incident_message", "which message told of which fault", "ledger"),
    *nothing("ops.batch_day", "which days a file covers", "ledger"),
    *nothing("ops.erased_student", "keyed digests, from which nobody can be told who was erased", "forever"),
    *nothing("ops.deletion", "counts of what was deleted", "forever"),
    *nothing("ops.alembic_version", "the state of the schemas", "forever"),
    *nothing("ops.built_day ops.kept_from ops.day_version ops.touched_day ops.rebuilt_day", "days", "forever"),
    *nothing("ops.category_weight ops.config_version ops.peer_level ops.rule_version", "configuration", "forever"),
    *nothing("ops.scoring_parameter ops.setting ops.source", "configuration", "forever"),
    *nothing("ops.rule_week", "weeks", "forever"),
    *nothing("raw.modules", "what is taught", "source", "t.as_of_date"),
    *nothing("raw.term_calendar", "terms and closures", "source", "t.as_of_date"),
    *nothing("governance.*", "rounded and suppressed figures of groups, and figures of sources", "forever"),
    *nothing("marts.score_distribution", "how many students of a group have which scores", "forever"),
    *nothing("marts.source_health", "figures of sources", "forever"),
    *nothing("marts.weekly_score_source", "figures of sources and of groups", "forever"),
    *nothing("marts.source_register", "what sources are for", "forever"),
    *nothing("intermediate.int_calibration intermediate.int_peer_group intermediate.int_peer_source", "groups"),
    *nothing("intermediate.int_day_build intermediate.int_day_roster intermediate.int_inactivity_day", "days"),
    *nothing("intermediate.int_day_source intermediate.int_evidence_day", "figures of sources"),
    *nothing("intermediate.int_missing_run intermediate.int_source_week", "figures of sources"),
    *nothing("intermediate.int_publication intermediate.int_teaching_week intermediate.int_week_lag", "weeks"),
    *nothing("intermediate.int_week_state", "weeks"),
    *nothing("intermediate.int_working_day", "days"),
]

DECLARED = (*_DONE, *_LOADING, *_RIGHTS, *_TEXTS, *_WHO, *_MADE, *_NOBODY)
