"""The command line: `journey …`. Commands only say what they found; the rooms do the work."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from journey_pipeline.errors import JourneyError

app = App(
    name="journey",
    help="Reads every platform a business sells through, works out who is who, and says where a handoff broke.",
    version_flags=["--version"],
)
Format = Literal["table", "json", "csv"]
SettingsFile = Annotated[Path | None, Parameter(name="--settings", help="The settings file (default ./journey.yaml).")]
HomeFolder = Annotated[Path | None, Parameter(name="--home", help="Where everything is kept (default ./journey_data).")]


@app.command
def demo(
    *,
    people: Annotated[int, Parameter(help="How many people the business has met.")] = 2_000,
    seed: Annotated[
        int, Parameter(help="Which business: the same seed and as_of give the same findings, byte for byte.")
    ] = 7,
    as_of: Annotated[
        str | None,
        Parameter(help="The instant of the run, ISO 8601 (default: six this morning, where the business is)."),
    ] = None,
    settings: SettingsFile = None,
    home: HomeFolder = None,
) -> int:
    """Run the whole job against a fictional business served on loopback: no keys, no network."""
    from journey_pipeline.cli.daily import run_demo  # noqa: PLC0415  each command imports what it needs

    return run_demo(people=people, seed=seed, as_of=as_of, settings=settings, home=home)


@app.command
def run(
    *,
    as_of: Annotated[
        str | None,
        Parameter(
            help="Judge a past instant from what had been loaded by then, ISO 8601; nothing is ingested. Where nothing "
            "was ever loaded, files are read as if that were now."
        ),
    ] = None,
    only: Annotated[list[str] | None, Parameter(help="Ingest only this platform (may be repeated).")] = None,
    settings: SettingsFile = None,
    home: HomeFolder = None,
) -> int:
    """Run the daily job once: ingest, resolve, build, check, publish, report.

    Exit code 0; 1 where a critical finding is open; 2 where the job itself failed.
    """
    from journey_pipeline.cli.daily import run_daily  # noqa: PLC0415

    return run_daily(as_of=as_of, only=only or [], settings=settings, home=home)


@app.command
def findings(
    *,
    owner: Annotated[str | None, Parameter(help="Only what this team owns.")] = None,
    invariant: Annotated[str | None, Parameter(help="Only what breaks this rule.")] = None,
    everything: Annotated[bool, Parameter(name="--all", help="Resolved and waived ones too.")] = False,
    format: Format = "table",  # noqa: A002  the option's name
    settings: SettingsFile = None,
    home: HomeFolder = None,
) -> int:
    """List the worklist: what is broken, for whom, what is at risk, what to do."""
    from journey_pipeline.cli.look import list_findings  # noqa: PLC0415

    return list_findings(
        owner=owner, invariant=invariant, everything=everything, shape=format, settings=settings, home=home
    )


@app.command
def repairs(
    *,
    owner: Annotated[str | None, Parameter(help="Only what this team owns.")] = None,
    invariant: Annotated[str | None, Parameter(help="Only what mends this rule.")] = None,
    ready: Annotated[bool, Parameter(help="Only what no guard and no incident holds.")] = False,
    format: Format = "table",  # noqa: A002
    settings: SettingsFile = None,
    home: HomeFolder = None,
) -> int:
    """List what would mend each finding, where, and what forbids it. Nothing is ever executed."""
    from journey_pipeline.cli.repairs import list_repairs  # noqa: PLC0415

    return list_repairs(owner=owner, invariant=invariant, is_ready=ready, shape=format, settings=settings, home=home)


@app.command
def explain(
    who: Annotated[str, Parameter(help="An e-mail address, a phone number, `platform:id`, or a person_id.")],
    *,
    format: Annotated[Format, Parameter(help="`csv` gives the time line alone.")] = "table",  # noqa: A002
    settings: SettingsFile = None,
    home: HomeFolder = None,
) -> int:
    """Show one buyer's whole path: every system on one time line, what is broken, what to do."""
    from journey_pipeline.cli.explain import explain_person  # noqa: PLC0415

    return explain_person(who, shape=format, settings=settings, home=home)


@app.command
def init(
    *,
    name: Annotated[str | None, Parameter(help="The business's name.")] = None,
    timezone: Annotated[str | None, Parameter(help="Its time zone, like America/New_York.")] = None,
    currency: Annotated[str | None, Parameter(help="Its currency, like USD.")] = None,
    platforms: Annotated[
        str | None, Parameter(help="What it runs, apart by commas, like stripe,hubspot,teachable.")
    ] = None,
    settings: SettingsFile = None,
) -> int:
    """Write a journey.yaml: asks for whatever is not given, from the catalogue of platforms."""
    from journey_pipeline.cli.init import write_settings  # noqa: PLC0415

    return write_settings(name=name, timezone=timezone, currency=currency, platforms=platforms, settings=settings)


@app.command
def links(
    *,
    confirm: Annotated[
        tuple[str, str] | None, Parameter(help="Two records, `platform:record_id` each, that are one person's.")
    ] = None,
    refuse: Annotated[tuple[str, str] | None, Parameter(help="Two records that are two people's.")] = None,
    why: Annotated[str | None, Parameter(help="Why; kept with the decision.")] = None,
    who: Annotated[str | None, Parameter(help="Who decides (default: whoever is logged in).")] = None,
    format: Format = "table",  # noqa: A002
    settings: SettingsFile = None,
    home: HomeFolder = None,
) -> int:
    """List people who may be one, likeliest first; confirm or refuse a pair, which is remembered."""
    from journey_pipeline.cli.links import decide, list_links  # noqa: PLC0415

    for pair, decision in ((confirm, "confirm"), (refuse, "refuse")):
        if pair:
            decide(pair, decision, why=why, who=who, settings=settings, home=home)
    return 0 if confirm or refuse else list_links(shape=format, settings=settings, home=home)


@app.command
def doctor(*, settings: SettingsFile = None, home: HomeFolder = None) -> int:
    """Check settings, keys and mappings, platform by platform. Exit code 2 where something is wrong."""
    from journey_pipeline.cli.doctor import examine  # noqa: PLC0415

    return examine(settings=settings, home=home)


@app.command
def audit(
    *,
    everything: Annotated[bool, Parameter(name="--all", help="What is as it should be, too.")] = False,
    format: Format = "table",  # noqa: A002
    settings: SettingsFile = None,
    home: HomeFolder = None,
) -> int:
    """Write the systems audit: what no platform covers, what can't be judged, what never matches; and audit.html."""
    from journey_pipeline.cli.audit import audit_systems  # noqa: PLC0415

    return audit_systems(everything=everything, shape=format, settings=settings, home=home)


@app.command
def rehearse(
    who: Annotated[
        str, Parameter(help="The test buyer: an e-mail address, a phone number, `platform:id`, a person_id.")
    ],
    *,
    offer: Annotated[str | None, Parameter(help="Only the path to this offer.")] = None,
    pull: Annotated[
        bool, Parameter(help="Ask the platforms first, instead of judging what was ingested last.")
    ] = False,
    format: Literal["table", "json"] = "table",  # noqa: A002
    settings: SettingsFile = None,
    home: HomeFolder = None,
) -> int:
    """Take a test buyer's path step by step, without grace, before a launch. Exit code 1 where a step is red."""
    from journey_pipeline.cli.rehearse import rehearse_path  # noqa: PLC0415

    return rehearse_path(who, offer=offer, pull=pull, shape=format, settings=settings, home=home)


@app.command
def waive(
    what: Annotated[str, Parameter(help="A finding's id, its subject, or a person: `person:…`, an address, a key.")],
    *,
    reason: Annotated[str, Parameter(help="Why it is accepted; kept with it.")],
    until: Annotated[str, Parameter(help="The last day on which it is, like 2026-05-31.")],
    who: Annotated[str | None, Parameter(help="Who accepts it (default: whoever is logged in).")] = None,
    invariant: Annotated[str | None, Parameter(help="Of a subject or person, only the finding of this rule.")] = None,
    settings: SettingsFile = None,
    home: HomeFolder = None,
) -> int:
    """Accept a finding until a day, with a reason: one line more in the file that journey.yaml names (`waivers:`)."""
    from journey_pipeline.cli.waive import accept_findings  # noqa: PLC0415

    return accept_findings(what, invariant=invariant, reason=reason, who=who, until=until, settings=settings, home=home)


@app.command
def forget(
    who: Annotated[str, Parameter(help="An e-mail address, a phone number, `platform:id`, or a person_id.")],
    *,
    yes: Annotated[bool, Parameter(help="Do it. Without, it only says what would be erased.", negative="")] = False,
    settings: SettingsFile = None,
    home: HomeFolder = None,
) -> int:
    """Erase a person everywhere that we hold them: raw log, tables, warehouse, decisions and waivers."""
    from journey_pipeline.cli.forget import forget_person  # noqa: PLC0415

    return forget_person(who, yes=yes, settings=settings, home=home)


@app.command
def tell(
    *,
    dry_run: Annotated[
        bool, Parameter(help="Print the messages; send nothing, remember nothing.", negative="")
    ] = False,
    settings: SettingsFile = None,
    home: HomeFolder = None,
) -> int:
    """Tell each owner what is new, worse and resolved since they were last told; nothing, where nothing changed."""
    from journey_pipeline.cli.tell import tell_owners  # noqa: PLC0415

    return tell_owners(is_dry=dry_run, settings=settings, home=home)


@app.command
def accept(source: str, *, settings: SettingsFile = None, home: HomeFolder = None) -> int:
    """Believe a list that shrank: `journey accept teachable.enrollments`."""
    from journey_pipeline.cli.doctor import accept_drop  # noqa: PLC0415

    return accept_drop(source, settings=settings, home=home)


@app.command
def ui(
    *,
    port: Annotated[int, Parameter(help="Where on 127.0.0.1.")] = 3000,
    demo: Annotated[bool, Parameter(help="The demo's home; its platforms are served while the UI runs.")] = False,
    settings: SettingsFile = None,
    home: HomeFolder = None,
) -> int:
    """Open the Dagster UI on loopback, with the lineage, checks, schedules and history."""
    from journey_pipeline.cli.web import serve_ui  # noqa: PLC0415

    return serve_ui(port=port, is_demo=demo, settings=settings, home=home)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit with its code. An error that a user can mend is one sentence, without a traceback."""
    try:
        code = app(arguments, exit_on_error=True, result_action="return_value")
    except JourneyError as error:
        print(error, file=sys.stderr)  # noqa: T201
        sys.exit(2)
    sys.exit(code or 0)
