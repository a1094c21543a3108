"""What the condition of an alert rule means: as SQL over the facts of a student, and in words.

The facts are columns of intermediate.int_rule_fact or ops.notification_fact, here named f. What nobody knows is null,
and null is carried through `all`, `any` and `not` as SQL does: only what is true fires. Evaluating is rules.py's.
"""

from collections.abc import Callable

from psycopg import sql

from engage.contact.rules_file import Condition, Rule

_SQL: dict[str, str] = {
    # Rows of other kinds do not come before the condition.
    "notification": "true",
    "drop_over": "f.change_1w < -{value}",
    "declining": "f.declining = {value}",
    "consistently_low": "f.consistently_low = {value}",
    "attendance_below": "f.attendance_4w < {value}",
    "attendance_at_least": "f.attendance_4w >= {value}",
    "mode": "f.mode = any({value}::text[])",
    "programme": "f.programme_code = any({value}::text[])",
    "faculty": "f.faculty_code = any({value}::text[])",
    "year_of_study": "f.year_of_study = any({value}::text[])",
    "residence": "f.campus_residence = any({value}::text[])",
    "open_case": "f.open_case = {value}",
    # Of whom nothing is known, contacts are not either; who is known and has none was never contacted.
    "contacted_within": "case when f.open_case is not null"
    " then coalesce(f.last_contact_date >= f.on_date - {value}, false) end",
}
_SCORE = "f.score < {value}"
_FIRST = "f.score < {value} and coalesce(f.lowest_before >= {value}, true)"
_IN_A_ROW = """
case
    when {value} <= any(f.recent_scores[:{weeks}]) then false
    when cardinality(f.recent_scores) >= {weeks} then true
end
"""
_EXEMPT = "(cardinality(f.exemption_types) > 0) = {value}"
_EXEMPT_BY = "f.exemption_types && {value}::text[]"

_WORDS: dict[str, Callable[[object], str]] = {
    "notification": lambda value: str(value).replace("_", " "),
    "drop_over": lambda value: f"a drop of more than {value} points in one week",
    "declining": lambda value: "declining" if value else "not declining",
    "consistently_low": lambda value: "consistently low" if value else "not consistently low",
    "attendance_below": lambda value: f"attendance below {value:g} %",
    "attendance_at_least": lambda value: f"attendance of {value:g} % or more",
    "mode": lambda value: f"mode {_one_of(value)}",
    "programme": lambda value: f"programme {_one_of(value)}",
    "faculty": lambda value: f"faculty {_one_of(value)}",
    "year_of_study": lambda value: f"year of study {_one_of(value)}",
    "residence": lambda value: f"residence {_one_of(value)}",
    "open_case": lambda value: "an open case" if value else "no open case",
    "contacted_within": lambda value: f"contacted in the last {value} days",
}
EXEMPT = sql.SQL("cardinality(f.exemption_types) > 0")


def condition(rule: Rule) -> sql.Composable:
    """Return the condition of a rule as boolean SQL over facts f; values are literals, never text of the statement.

    Who is exempt on the day does not meet it, unless the rule itself says what becomes of them.
    """
    said = asked(rule)
    return said if rule.asks_of_exemptions else sql.SQL("({} and not coalesce({}, false))").format(said, EXEMPT)


def asked(rule: Rule) -> sql.Composable:
    """Return the same as it stands in the file, whoever is exempt."""
    return _compiled(rule.when)


def met(rule: Rule) -> sql.Composable:
    """Return SQL for a list of texts: of what a rule asks, in words, what holds."""
    terms = [
        sql.SQL("case when {} then {} end").format(_compiled(one), sql.Literal(words(one))) for one in _terms(rule.when)
    ]
    return sql.SQL("array_remove(array[{}]::text[], null)").format(sql.SQL(", ").join(terms))


def words(one: Condition) -> str:
    """Return a condition in words."""
    if one.all:
        return " and ".join(_in_brackets(part) for part in one.all)
    if one.any:
        return " or ".join(_in_brackets(part) for part in one.any)
    if one.negated:
        return f"not {_in_brackets(one.negated)}"
    if one.score_below is not None:
        more = " for the first time" if one.first_time else ""
        more += f" for {one.weeks} weeks in a row" if one.weeks else ""
        return f"score below {one.score_below}{more}"
    if one.exempt is not None:
        if isinstance(one.exempt, list):
            return f"exempt by {_one_of(one.exempt)}"
        return "exempt" if one.exempt else "not exempt"
    (key,) = one.asked
    return _WORDS[key](getattr(one, key))


def _compiled(one: Condition) -> sql.Composable:
    if one.negated:
        return sql.SQL("(not {})").format(_compiled(one.negated))
    if one.inner:
        joint = sql.SQL(" and " if one.all else " or ")
        return sql.SQL("({})").format(joint.join(_compiled(part) for part in one.inner))
    (key,) = one.asked
    value = getattr(one, key)
    if key == "score_below":
        template = _FIRST if one.first_time else _IN_A_ROW if one.weeks else _SCORE
    elif key == "exempt":
        template = _EXEMPT_BY if isinstance(value, list) else _EXEMPT
    else:
        template = _SQL[key]
    parts = {"value": sql.Literal(value), "weeks": sql.Literal(one.weeks)}
    return sql.SQL("({})").format(sql.SQL(template).format(**parts))


def _terms(one: Condition) -> list[Condition]:
    """Return what is asked part by part; what is denied is one part."""
    if one.negated or not one.inner:
        return [one]
    return [term for part in one.inner for term in _terms(part)]


def _in_brackets(one: Condition) -> str:
    return f"({words(one)})" if one.inner and not one.negated else words(one)


def _one_of(value: object) -> str:
    names = [str(one) for one in value] if isinstance(value, list) else [str(value)]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
