"""What the condition of an alert rule means: as SQL over the facts of a student, and in words.

The facts are columns of intermediate.int_rule_fact or ops.notification_fact, here named f. What nobody knows is null,
and null is carried through `all`, `any` and `not` as SQL does: only what is true fires. Evaluating is rules.py's.
"""

from collections.abc import Callable

from psycopg import sql

from engage.rules_file import Condition, Rule

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
    asked = _compiled(rule.when)
    return asked if rule.asks_of_exemptions else sql.SQL("({} and not coalesce({}, false))").format(asked, EXEMPT)


def met(rule: Rule) -> sql.Composable:
    """Return SQL for a list of texts: of what a rule asks, in words, what holds."""
    terms = [
        sql.SQL("case when {} then {} end").format(_compiled(one), sql.Literal(words(one))) for one in _terms(rule.when)
    ]
    return sql.SQL("array_remove(array[{}]::text[], null)").format(sql.SQL(", ").join(terms))


def words(asked: Condition) -> str:
    """Return a condition in words."""
    if asked.all:
        return " and ".join(_in_brackets(one) for one in asked.all)
    if asked.any:
        return " or ".join(_in_brackets(one) for one in asked.any)
    if asked.negated:
        return f"not {_in_brackets(asked.negated)}"
    if asked.score_below is not None:
        more = " for the first time" if asked.first_time else ""
        more += f" for {asked.weeks} weeks in a row" if asked.weeks else ""
        return f"score below {asked.score_below}{more}"
    if asked.exempt is not None:
        if isinstance(asked.exempt, list):
            return f"exempt by {_one_of(asked.exempt)}"
        return "exempt" if asked.exempt else "not exempt"
    (key,) = asked.asked
    return _WORDS[key](getattr(asked, key))


def _compiled(asked: Condition) -> sql.Composable:
    if asked.negated:
        return sql.SQL("(not {})").format(_compiled(asked.negated))
    if asked.inner:
        joint = sql.SQL(" and " if asked.all else " or ")
        return sql.SQL("({})").format(joint.join(_compiled(one) for one in asked.inner))
    (key,) = asked.asked
    value = getattr(asked, key)
    if key == "score_below":
        template = _FIRST if asked.first_time else _IN_A_ROW if asked.weeks else _SCORE
    elif key == "exempt":
        template = _EXEMPT_BY if isinstance(value, list) else _EXEMPT
    else:
        template = _SQL[key]
    parts = {"value": sql.Literal(value), "weeks": sql.Literal(asked.weeks)}
    return sql.SQL("({})").format(sql.SQL(template).format(**parts))


def _terms(asked: Condition) -> list[Condition]:
    """Return what is asked one by one; what is denied is one thing."""
    if asked.negated or not asked.inner:
        return [asked]
    return [term for one in asked.inner for term in _terms(one)]


def _in_brackets(asked: Condition) -> str:
    return f"({words(asked)})" if asked.inner and not asked.negated else words(asked)


def _one_of(value: object) -> str:
    names = [str(one) for one in value] if isinstance(value, list) else [str(value)]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
