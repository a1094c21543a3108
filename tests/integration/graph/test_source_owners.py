"""Owners are told by the graph itself: when there is something new to say, and in no run otherwise."""

import json
from datetime import UTC, datetime, timedelta

from click.testing import CliRunner

from engage.cli import cli
from tests.integration.graph.kit import SECRET_BADGE, SECRET_NAME, Installation


def watch(installation: Installation, began_h: float, last_h: float) -> None:
    """Make the sensor's last looks those of so many hours ago."""
    now = datetime.now(UTC)
    looks = {"since": now - timedelta(hours=began_h), "last": now - timedelta(hours=last_h)}
    cursor = json.dumps({name: moment.isoformat() for name, moment in looks.items()})
    installation.instance.daemon_cursor_storage.set_cursor_values({"engage/driver/source_owners": cursor})


def test_a_held_file_is_told_by_one_run_and_an_idle_night_adds_none(installation: Installation) -> None:
    installation.deliver("roster_20261009.csv", ["id,given,family,badge", f"7001,{SECRET_NAME},Beeble,{SECRET_BADGE}"])
    installation.deliver("gates_20261009.csv", ["badge,at", f"{SECRET_BADGE},never"])
    assert installation.tick("source_owners") == []
    installation.tick("arrivals")

    # Who was away himself catches up first: what waits for him only seems to be late.
    watch(installation, began_h=5, last_h=2)
    assert installation.tick("source_owners") == []
    assert installation.tick("source_owners") == []
    watch(installation, began_h=0.6, last_h=0.1)
    (run,) = installation.tick("source_owners")
    for _ in range(12):
        installation.at(installation.now + timedelta(minutes=5))
        assert installation.tick("source_owners") == []

    assert run.success
    (event,) = run.get_asset_materialization_events()
    metadata = event.materialization.metadata
    assert {name: metadata[name].value for name in ("incidents_opened", "messages_sent", "delivery")} == {
        "incidents_opened": 2,
        "messages_sent": 1,
        "delivery": "preview",
    }
    assert [check.passed for check in run.get_asset_check_evaluations()] == [True]
    mail = installation.run.home / "outbox" / "000001-email.eml"
    assert b"gates_20261009.csv is held back" in mail.read_bytes()
    for entry in installation.instance.all_logs(run.run_id):
        assert SECRET_NAME not in repr(entry) and SECRET_BADGE not in repr(entry)

    incidents = json.loads(CliRunner().invoke(cli, ["incident", "list", "--json"]).output)
    assert {(one["source"], one["kind"]) for one in incidents} == {("gates", "held"), ("gates", "low_quality")}
    (message,) = json.loads(CliRunner().invoke(cli, ["outbox", "list", "--json"]).output)
    assert (message["recipient"], message["state"]) == ("ada@example.ac.uk", "previewed")
    shown = CliRunner().invoke(cli, ["outbox", "preview", str(message["message_id"])])
    assert "The gates: gates_20261009.csv is held back" in shown.output
    assert CliRunner().invoke(cli, ["outbox", "preview", "99"]).exit_code == 1
    sent = CliRunner().invoke(cli, ["outbox", "send", "--again"])
    assert (sent.exit_code, sent.output) == (0, "0 tried again\nnothing was due\n")
