"""What a broken delivery leaves behind until it is made good: a day that is not whole, and a matter that is open."""

from datetime import UTC, date, datetime, timedelta

import pytest

from engage.sources import Source
from tests.integration.gate.kit import ATTENDANCE, EVENTS, Gate
from tests.integration.gate.test_malformed import GOOD, ITEMS

DAY = date(2026, 11, 3)
PEOPLE = [f"ab{n}" for n in range(1, 10)]


@pytest.fixture
def events(gate: Gate) -> Source:
    gate.know(*PEOPLE, kind="username")
    source = gate.source(EVENTS)
    gate.execute("insert into ops.source values ('vle', 'Test', 'activity', 'append', 'vle', 1, true, null, null)")
    return source


def items(hour: int) -> str:
    return ITEMS.replace("2026-10-01T10", f"{DAY}T{hour:02}").replace('"id": ', f'"id": {hour}')


@pytest.mark.parametrize("how_many", [5, -1], ids=["half the rows", "all rows"])
def test_a_broken_hour_leaves_its_day_incomplete_until_it_is_read_again(
    gate: Gate, events: Source, how_many: int
) -> None:
    def read(hour: int, content: str, again: int = 0) -> None:
        start = datetime(2026, 11, 3, hour, tzinfo=UTC)
        end = start + timedelta(hours=1)
        day = DAY if hour == 23 else None
        gate.deliver(events, content.encode(), str(hour), day, end + timedelta(hours=9 + again), window=(start, end))

    read(9, items(9))
    read(10, items(10).replace("username", "user_name", how_many))
    read(23, items(23))
    assert [o.state for o in gate.process(events)] == ["published", "held", "published"]
    assert gate.execute("select day, is_complete from ops.coverage") == [(DAY, False)]
    read(10, items(10), again=1)
    assert [o.state for o in gate.process(events)] == ["published"]
    assert gate.execute("select day, is_complete from ops.coverage") == [(DAY, True)]
    assert gate.execute("select count(*) from ops.batch where state = 'held'") == [(0,)]


def test_a_corrected_file_of_events_closes_the_held_one(gate: Gate, events: Source) -> None:
    gate.deliver(events, b'{"id": 1}\n' * 9, "events", version_at=datetime(2026, 10, 2, tzinfo=UTC))
    gate.deliver(events, ITEMS.encode(), "events_v2", version_at=datetime(2026, 10, 3, tzinfo=UTC))
    assert [o.state for o in gate.process(events)] == ["held", "published"]
    assert gate.execute("select name, state from ops.batch inner join ops.delivery using (delivery_id) order by 1") == [
        ("events", "superseded"),
        ("events_v2", "published"),
    ]
    assert gate.execute("select is_complete from ops.coverage") == [(True,)]


def test_a_file_of_unknown_days_is_made_good_under_its_own_name(gate: Gate) -> None:
    gate.know(*(f"00{n}" for n in range(1, 10)))
    source = gate.source(ATTENDANCE)
    gate.deliver(source, b"\x00\x01 nothing readable", "register.csv", None, datetime(2026, 10, 2, tzinfo=UTC))
    gate.deliver(source, b"\x00\x01 nor this", "other.csv", None, datetime(2026, 10, 2, tzinfo=UTC))
    assert {o.state for o in gate.process(source)} == {"held"}
    gate.deliver(source, GOOD.encode(), "register.csv", None, datetime(2026, 10, 3, tzinfo=UTC))
    assert [o.state for o in gate.process(source)] == ["published"]
    found = gate.execute("select name, state from ops.batch inner join ops.delivery using (delivery_id) order by 2, 1")
    assert found == [("other.csv", "held"), ("register.csv", "published"), ("register.csv", "superseded")]
