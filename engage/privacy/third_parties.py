"""Somebody else, taken out of what a student is given: other students and staff, by number, reference and name.

Which columns name others is declared in places.py, which fields of a source do so here. What is given is not known
here.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator

from engage.privacy.places import Person
from engage.warehouse import Connection

MASK = "[somebody else]"
FIELDS = ("tutor_id", "staff_id", "staff_name", "staff_email", "assigned_to", "contacted_by", "created_by")
"""Fields of a source's records that name somebody else."""

_WORD = re.compile(r"[^\W_](?:[^\W_]|[\u0300-\u036f])*")
# With whatever stands around it; what follows an `=` is another word.
_ADDRESS = re.compile(r"[^@\s<>,;]+@[^@\s<>,;=?]+\.[^@\s<>,;=?]+(\?\S*)?")
_TITLES = {"dr", "prof", "professor", "mr", "mrs", "ms", "miss", "mx", "sir", "dame", "rev"}
_OTHERS = """
select distinct ref as said, '' as family, true as is_key
from pii.identity where student_id <> all(%(students)s)
union all select student_id, '', true from pii.student where student_id <> all(%(students)s)
union all select email, '', true from pii.student where student_id <> all(%(students)s) and email is not null
union all select given_name, family_name, false from pii.student where student_id <> all(%(students)s)
union all select staff_id, '', true from pii.staff
union all select staff_email, '', true from pii.staff where staff_email is not null
union all select staff_name, '', false from pii.staff where staff_name is not null
"""
_OWN_NAME = "select given_name, family_name from pii.student where student_id = any(%(students)s)"

Phrase = tuple[str, ...]


class Others:
    """Everybody but one student, recognised in a text by whole words, whatever stands between and around them."""

    def __init__(self, connection: Connection, who: Person) -> None:
        """Read who there is. A reference that was handed on counts as the student's own."""
        self._own_refs = {ref.lower() for ref in who.refs}
        self._phrases: dict[str, dict[Phrase, bool]] = {}
        for said, family, is_key in connection.execute(_OTHERS, who.parameters):
            for phrase in [_words(said)] if is_key else _names(said, family):
                self._add(phrase, is_own=False)
        for given, family in connection.execute(_OWN_NAME, who.parameters):
            for phrase in _names(given, family):
                self._add(phrase, is_own=True)
        for ref in self._own_refs:
            self._add(_words(ref), is_own=True)

    def learn(self, said: object) -> None:
        """Add what a column that names somebody else holds; a single word without a digit may mean anything."""
        if isinstance(said, str) and said.strip().lower() not in self._own_refs:
            for phrase in (_words(said), *_names(said, "")):
                if len(phrase) > 1 or any(any(map(str.isdigit, word)) for word in phrase):
                    self._add(phrase, is_own=self._phrases.get(phrase[0], {}).get(phrase, False))

    def text(self, said: str) -> str:
        """Return a text in which others are masked."""
        if _ADDRESS.fullmatch(said.strip()) and said.strip().lower() not in self._own_refs:
            return MASK
        words = list(_WORD.finditer(said))
        lower = [_folded(word[0]) for word in words]
        parts, end, n = list[str](), 0, 0
        while n < len(words):
            length, is_own = self._longest(lower, n)
            if length and not is_own:
                parts += [said[end : words[n].start()], MASK]
                end = words[n + length - 1].end()
            n += length or 1
        return "".join((*parts, said[end:])) if parts else said

    def blank(self, said: object) -> object:
        """Return what stands in a column that names somebody else: the student's own references stay."""
        if said is None or (isinstance(said, str) and (not said.strip() or said.strip().lower() in self._own_refs)):
            return said
        return MASK

    def value(self, said: object, keys: frozenset[str] = frozenset()) -> object:
        """Return a value, of JSON as deep as it goes, in which others are masked, and blanked under these keys."""
        if isinstance(said, str):
            return self.text(said)
        if isinstance(said, dict):
            return {
                str(key): self.blank(inner) if key in keys else self.value(inner, keys) for key, inner in said.items()
            }
        if isinstance(said, list):
            return [self.value(inner, keys) for inner in said]
        # A student number may be written as a number.
        if (
            isinstance(said, int)
            and not isinstance(said, bool)
            and self._phrases.get(str(said), {}).get((str(said),)) is False
        ):
            return MASK
        return said

    def _add(self, phrase: Phrase, is_own: bool) -> None:
        if phrase:
            known = self._phrases.setdefault(phrase[0], {})
            known[phrase] = is_own or known.get(phrase, False)

    def _longest(self, words: list[str], n: int) -> tuple[int, bool]:
        """Return how many words from `n` on name somebody, and whether that is the student."""
        best, own = 0, False
        for phrase, is_own in self._phrases.get(words[n], {}).items():
            if len(phrase) > best and tuple(words[n : n + len(phrase)]) == phrase:
                best, own = len(phrase), is_own
        return best, own


def _words(said: object) -> Phrase:
    return tuple(map(_folded, _WORD.findall(str(said))))


def _folded(word: str) -> str:
    """Return a word as it is compared: people leave out accents, and letters may be written in two ways."""
    return "".join(one for one in unicodedata.normalize("NFD", word.casefold()) if not unicodedata.combining(one))


def _names(given: object, family: object) -> Iterator[Phrase]:
    """Yield how somebody may be called: with the family name first, too, and with a title or without."""
    whole = _words(given or "") + _words(family or "")
    plain = tuple(word for word in whole if word not in _TITLES)
    # Of a name in one piece the last word is taken for the family's.
    cut = len(_words(family or "")) or 1
    for phrase in {whole, plain, plain[-cut:] + plain[:-cut]}:
        # A word alone may mean anything.
        if len(phrase) > 1:
            yield phrase
    if len(plain) < len(whole) and plain:
        yield whole[0], plain[-1]


def masked(others: Others, rows: Iterable[dict[str, object]], blanked: Iterable[str]) -> Iterator[dict[str, object]]:
    """Yield rows in which these columns are blanked, and others masked everywhere else."""
    columns = frozenset(blanked)
    for row in rows:
        yield {
            name: others.blank(said) if name in columns else said if isinstance(said, int) else others.value(said)
            for name, said in row.items()
        }
