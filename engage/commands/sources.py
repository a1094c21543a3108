"""`engage source`: what the source files say, and adopting a new one: a draft from a sample, a sample tried out, a key
trusted. Delivers nothing.
"""

from collections.abc import Callable
from pathlib import Path

import click

from engage import clock, register
from engage.commands.output import json_option, show
from engage.configuration import load_scoring
from engage.records import RECORDS
from engage.settings import Settings
from engage.sources import Source, load_source, load_sources
from engage.strict import ConfigurationError
from engage.suites import load_suite

SAMPLE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def source() -> None:
    """The feeding systems, one YAML file each in config/sources."""


@source.command("list")
@json_option
def list_sources(as_json: bool) -> None:
    """List the sources with their owner, transport and record. Drafts and disabled ones are marked so."""
    rows: list[dict[str, object]] = [
        {
            "source": s.id,
            "title": s.title,
            "state": _state(s),
            "record": s.record,
            "relation": s.relation,
            "transport": s.transport.kind,
            "category": s.category,
            "digital": s.digital,
            "owner": s.owner.email if s.enabled else None,
        }
        for _, s in sorted(load_sources(Settings.from_environment().config, drafts=True).items())
    ]
    show(rows, as_json, "")


def _state(source: Source) -> str:
    if not source.enabled:
        return "draft"
    return "disabled" if source.disabled_from and source.disabled_from <= clock.now().date() else "enabled"


@source.command("check")
@click.argument("names", nargs=-1)
@click.option("--sample", type=SAMPLE, help="Try out this file: load and audit it as if NAME had delivered it.")
@json_option
@click.pass_context
def check_sources(context: click.Context, names: tuple[str, ...], sample: Path | None, as_json: bool) -> None:
    """Check source files and their expectation suites; all of them, or NAMES. Exit code 1: something is wrong.

    With --sample nothing is published and nothing is kept; exit code 1: the file would be held.
    """
    settings = Settings.from_environment()
    folder = settings.config / "sources"
    paths = [folder / f"{name}.yaml" for name in names] or sorted(folder.glob("*.yaml"))
    if missing := [path for path in paths if not path.exists()]:
        raise click.UsageError(f"no such file: {', '.join(map(str, missing))}")
    if not paths:
        raise ConfigurationError(f"{folder}: holds no source file")
    if sample:
        if len(names) != 1:
            raise click.UsageError("--sample needs the name of one source")
        context.exit(0 if _check_sample(settings, load_source(paths[0]), sample, as_json) else 1)
    wrong = 0
    for path in paths:
        try:
            checked = load_source(path)
            suite = load_suite(settings.expectations, checked)
            draft = "" if checked.enabled else " (a draft)"
            lacks = ", ".join(register.missing(checked))
            unsaid = f"; the register of processing lacks {lacks}" if lacks else ""
            click.echo(f"{path.stem}: well formed, {len(suite.rules)} rules{draft}{unsaid}")
        except ConfigurationError as error:
            wrong += 1
            click.echo(str(error), err=True)
    context.exit(1 if wrong else 0)


def _check_sample(settings: Settings, checked: Source, path: Path, as_json: bool) -> bool:
    """Print what would become of the file; return whether it would be published."""
    from engage import runtime
    from engage.sample import try_out

    suite = load_suite(settings.expectations, checked)
    with runtime.running(settings) as run:
        found = try_out(run.url, checked, suite, path)
    if as_json:
        show([found.summary | {"rules": found.rules}], as_json, "")
    else:
        show([{"what": k.replace("_", " "), "value": _line(v)} for k, v in found.summary.items()], as_json, "")
        click.echo()
        show(found.rules, as_json, "no rule was evaluated")
    return found.is_publishable


def _line(value: object) -> object:
    if isinstance(value, dict):
        return "; ".join(f"{count:,} {reason}" for reason, count in value.items())
    return "; ".join(map(str, value)) if isinstance(value, list) else value


@source.command("scaffold")
@click.argument("file", type=SAMPLE)
@click.option("--id", "source_id", help="What the source is to be called; else after the file.")
@click.option("--record", type=click.Choice(list(RECORDS)), help="What a row is; else inferred.")
@click.option("--force", is_flag=True, help="Overwrite files of this name.")
@json_option
def scaffold_source(file: Path, source_id: str | None, record: str | None, force: bool, as_json: bool) -> None:
    """Draft a source and its expectation suite from a sample FILE, and say what was inferred and how sure that is.

    The draft is not collected until a person has completed and enabled it.
    """
    from engage.scaffold import draft
    from engage.scaffold_sample import read_sample

    settings = Settings.from_environment()
    sample = read_sample(file, load_scoring(settings.config).time_zone)
    drafted = draft(sample, source_id, record)
    name = drafted.source["id"]
    texts = {
        # First: a source without a suite would be refused.
        settings.expectations / f"{name}.yaml": drafted.suite_yaml,
        settings.config / "sources" / f"{name}.yaml": drafted.source_yaml,
    }
    if (there := [str(path) for path in texts if path.exists()]) and not force:
        raise click.UsageError(f"{', '.join(there)}: there already; choose another --id, or --force to overwrite")
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")
    load_suite(settings.expectations, load_source(settings.config / "sources" / f"{name}.yaml"))
    rows: list[dict[str, object]] = [
        {"inferred": f.what, "value": f.value, "sure": f.sure, "because": f.because} for f in drafted.findings
    ]
    if as_json:
        show(
            [
                {
                    "source": name,
                    "files": list(map(str, texts)),
                    "inferred": rows,
                    "notes": sample.notes,
                    "ill_formed_lines": sample.ill_formed,
                }
            ],
            as_json,
            "",
        )
        return
    show(rows, as_json, "")
    if sample.ill_formed:
        click.echo(f"note: {sample.ill_formed:,} lines have not as many fields as the heading, or are no JSON objects")
    for note in sample.notes:
        click.echo(f"note: {note}")
    click.echo("\nWritten, as a draft:\n" + "".join(f"  {path}\n" for path in texts))
    click.echo(
        f"Next: read both files, the guesses first; then\n  engage source check {name} --sample {file}\n"
        "Then fill in owner, privacy and transport, and set `enabled: true`."
    )


@source.command("trust")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask: the owner has confirmed the new fingerprint.")
@click.pass_context
def trust_host(context: click.Context, name: str, yes: bool) -> None:
    """Accept the host key that the SFTP server of source NAME shows now, after its owner confirmed the fingerprint.

    Exit code 1: it was not accepted.
    """
    from engage.connectors.host_keys import HostKeys
    from engage.transports import Sftp

    path = Settings.from_environment().config / "sources" / f"{name}.yaml"
    if not path.exists():
        raise click.UsageError(f"no such file: {path}")
    transport = load_source(path).transport
    if not isinstance(transport, Sftp):
        raise click.UsageError(f"{name} is not read by SFTP")
    keys = HostKeys(transport)
    say: Callable[[str], None] = click.echo
    say(f"server  {keys.server}\nknown   {', '.join(keys.known) or 'none'}\nshown   {keys.shown}")
    if keys.shown in keys.known:
        say("The key is trusted already.")
    elif yes or click.confirm("Has the owner of the server confirmed the fingerprint shown, by another way than this?"):
        keys.trust()
        say(f"Written to {keys.known_hosts}.")
    else:
        say("Nothing was changed.")
        context.exit(1)
