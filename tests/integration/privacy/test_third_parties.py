"""Somebody else in any text is masked, the student never is, and nothing else is changed."""

import re

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from engage.privacy.places import person
from engage.privacy.third_parties import MASK, Others
from engage.warehouse import Connection

OWN = ["8450021", "am3391", "ada.moss@s.example", "00055512", "Ada Moss", "MOSS, Ada", "ADA  MOSS"]
ELSE = [
    *("8450099", "bq1207", "BQ1207", "bela.quill@s.example", "00099955", "Bela Quill", "Quill, Bela", "bela-quill"),
    *("T7070", "t7070", "jo.okafor@u.example", "Dr Jo Okafor", "Jo Okafor", "Dr. Okafor", "Okafor, Jo"),
    *("Maria del Carmen Lopez", "Lopez, Maria del Carmen"),
]
WORDS = [
    "the",
    "tutor",
    "said",
    "Ada",
    "Bela",
    "Quill's",
    "8450",
    "2026-10-01",
    "x8450099x",
    "Jo",
    "Moss-side",
    "ü",
    "no",
]
BETWEEN = [" ", ", ", "\n", " (", "): ", "; ", " / ", '", "', "="]


@pytest.fixture
def others(warehouse: Connection) -> Others:
    warehouse.execute(
        "insert into pii.student values ('8450021', 'Ada', 'Moss', 'Ada.Moss@s.example', '2026-09-01'),"
        " ('8450099', 'Bela', 'Quill', 'bela.quill@s.example', '2026-09-01'),"
        " ('8450100', 'Maria del Carmen', 'Lopez', null, '2026-09-01'),"
        " ('8450101', 'Ada', 'Moss', null, '2026-09-01'), ('8450102', 'Will', null, null, '2026-09-01')"
    )
    warehouse.execute(
        "insert into pii.identity select kind, ref, student, '0001-01-01', '9999-12-31' from (values"
        " ('username', 'am3391', '8450021'), ('badge', '00055512', '8450021'),"
        " ('username', 'bq1207', '8450099'), ('badge', '00099955', '8450099')) as v (kind, ref, student)"
    )
    # A badge that was handed on to somebody else is still the student's own.
    warehouse.execute("insert into pii.identity values ('badge', '00055512', '8450099', '2026-10-01', '9999-12-31')")
    warehouse.execute("insert into pii.staff values ('T7070', 'Dr Jo Okafor', 'jo.okafor@u.example', '2026-09-01')")
    return Others(warehouse, person(warehouse, "8450021"))


LEAVES = st.sampled_from([*OWN, *ELSE, *WORDS]) | st.integers() | st.none() | st.just(8450099)
KEYS = st.sampled_from(["a", "b", "tutor"])
PIECES = st.lists(st.tuples(st.sampled_from(OWN + ELSE + WORDS), st.sampled_from(BETWEEN)), max_size=12)


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PIECES)
@example([("ada.moss@s.example", "=")])
def test_others_are_masked_and_all_else_stays(others: Others, pieces: list[tuple[str, str]]) -> None:
    # Neighbours may make a name of two words: a plain word that does nothing stands between them.
    text = "".join(f"{piece}{between}and " for piece, between in pieces)
    expected = "".join(f"{MASK if piece in ELSE else piece}{between}and " for piece, between in pieces)
    assert others.text(text) == expected


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3)))
def test_json_is_masked_as_deep_as_it_goes(others: Others, value: object) -> None:
    said = str(others.value(value))
    for somebody in ELSE:
        assert not re.search(rf"(?<![^\W_]){re.escape(somebody)}(?![^\W_])", said)
    assert "8450099" not in re.findall(r"\w+", said)


def test_what_a_column_for_others_holds_is_known_from_then_on(others: Others) -> None:
    others.learn("Kim Vo")
    others.learn("tutor")
    others.learn("8450021")
    assert others.text("Kim Vo, tutor, VO, Kim of 8450021") == f"{MASK}, tutor, {MASK} of 8450021"
    assert others.blank("tutor") == MASK
    assert [others.blank(one) for one in (None, "", "8450021", "AM3391")] == [None, "", "8450021", "AM3391"]


@pytest.mark.parametrize(
    "said",
    [
        *("mentor@home.example", "MENTOR@home.example ", "mentor@home.example.", "mentor@home.example:"),
        *('"mentor@home.example"', "'mentor@home.example'", "(mentor@home.example)", "[mentor@home.example]"),
        *("mailto:mentor@home.example?subject=x", "m=entor@home.example", "mentor@[192.0.2.1]", "o'neill@h.example"),
        *("mentor@mu\u0308nchen.example", "mentor@उदाहरण.भारत", "mentor@xn--mnchen-3ya.example"),
    ],
)
def test_an_address_that_nobody_knows_is_somebody_elses(others: Others, said: str) -> None:
    assert others.text(said) == MASK


def test_a_text_around_an_address_stays_and_so_does_ones_own(others: Others) -> None:
    assert others.text("Write to help@u.example.") == "Write to help@u.example."
    assert others.text(" ADA.MOSS@s.example") == " ADA.MOSS@s.example"


def test_a_name_of_one_word_may_mean_anything(others: Others) -> None:
    assert others.text("I will come; Will won't") == "I will come; Will won't"


@pytest.mark.parametrize(
    "said", ["Zoë Brontë", "Zoe\u0308 Bronte\u0308", "ZOE BRONTE", "Brontë, Zoe", "ZOE\u0308 brontë"]
)
def test_a_name_is_known_with_accents_or_without_however_they_are_written(warehouse: Connection, said: str) -> None:
    warehouse.execute("insert into pii.student values ('8450200', 'Zoë', 'Brontë', null, '2026-09-01')")
    others = Others(warehouse, person(warehouse, "8450021"))
    assert others.text(f"my friend {said}, who") == f"my friend {MASK}, who"
