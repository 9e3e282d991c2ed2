"""Tells each owner what changed, once a day, and remembers what they were told. What is said is notify's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from urllib.parse import quote

import polars as pl

from journey_pipeline import notify
from journey_pipeline.errors import JourneyError
from journey_pipeline.notify import STATE, Message
from journey_pipeline.orchestration.steps import Day, built_tables
from journey_pipeline.registry import TEXT
from journey_pipeline.settings import addresses

_ROOM, _TABLE = "notify", "told"
_TOLD = pl.Schema({"whom": TEXT, "channel": TEXT, **STATE})
_EVERYBODY = "*"


@dataclass(frozen=True)
class Telling:
    """One message and how it went. `channel`: the variable that holds its address; None: nobody is told.

    `outcome`: `sent`, `failed`, `unsent` (a rehearsal, or no channel), `told` (already today), `silent` (no news).
    """

    whom: str
    teams: tuple[str, ...]
    channel: str | None
    message: Message | None
    outcome: str


def tell(day: Day, environ: Mapping[str, str], *, is_dry: bool = False) -> list[Telling]:
    """One message per owner and channel. What arrived is remembered, so that nobody is told twice on one day."""
    known = {} if is_dry else addresses(day.settings, environ)
    return [
        _tell(day, whom, teams, channel, known, is_dry=is_dry)
        for whom, teams in _owners(day).items()
        for channel in _channels(day, teams)
    ]


def say(day: Day, message: Message, environ: Mapping[str, str], *, team: str = "data") -> bool:
    """Carry a notice about the program itself to one team; whether it arrived everywhere."""
    known, whom = addresses(day.settings, environ), day.settings.owners.get(team, team)
    channels = [channel for channel in _channels(day, (team,)) if channel is not None]
    arrived = [notify.carry(message, c, _address(known, (team,), c, whom)) for c in channels]
    return all(arrived)


def _owners(day: Day) -> dict[str, tuple[str, ...]]:
    """Whom `owners:` maps teams to -> the teams: somebody who looks after two is told once."""
    rules = dict.fromkeys(rule.owner for rule in day.rules)
    findings = day.home.tables.scan("invariants", "findings").select(pl.col("owner").unique()).collect().to_series()
    whom: dict[str, list[str]] = {}
    for team in dict.fromkeys((*rules, *findings.drop_nulls().sort())):
        whom.setdefault(day.settings.owners.get(team, team), []).append(team)
    return {name: tuple(teams) for name, teams in whom.items()}


def _channels(day: Day, teams: Sequence[str]) -> list[str | None]:
    own = [channel for team in teams for channel in day.settings.notify.get(team, ())]
    found = dict.fromkeys(own or day.settings.notify.get(_EVERYBODY, ()))
    return [*found] or [None]


def _tell(
    day: Day,
    whom: str,
    teams: tuple[str, ...],
    channel: str | None,
    known: Mapping[str, Mapping[str, str]],
    *,
    is_dry: bool,
) -> Telling:
    tables = built_tables(day.home)
    last_on, last = _last(day, whom, channel)
    if last_on == day.day_on:
        return Telling(whom, teams, channel, None, "told")
    claims = {rule.name: rule.claim for rule in day.rules}
    message = notify.compose(tables, whom, teams, last, settings=day.settings, claims=claims, as_of=day.as_of)
    if message is None:
        return Telling(whom, teams, channel, None, "silent")
    if is_dry or channel is None:
        return Telling(whom, teams, channel, message, "unsent")
    if not notify.carry(message, channel, _address(known, teams, channel, whom)):
        return Telling(whom, teams, channel, message, "failed")
    _remember(day, whom, channel, notify.state(tables, teams))
    return Telling(whom, teams, channel, message, "sent")


def _address(known: Mapping[str, Mapping[str, str]], teams: Sequence[str], channel: str, whom: str) -> str:
    address = next(known[team][channel] for team in (*teams, _EVERYBODY) if channel in known.get(team, {}))
    if "{owner}" in address and "@" not in whom:
        msg = f"{channel} is an address for any {{owner}}, and owners: in journey.yaml has none of {whom}; add its e-mail address"
        raise JourneyError(msg)
    return address.replace("{owner}", quote(whom, safe=""))


def _last(day: Day, whom: str, channel: str | None) -> tuple[date | None, pl.DataFrame | None]:
    """The last day on which somebody was told something there, and what they were told."""
    for part in reversed(day.home.tables.parts(_ROOM, _TABLE)):
        mine = pl.read_parquet(part).filter(pl.col("whom") == whom, pl.col("channel").eq_missing(pl.lit(channel)))
        if part.stem <= day.day_on.isoformat() and mine.height:
            return date.fromisoformat(part.stem), mine
    return None, None


def _remember(day: Day, whom: str, channel: str, state: pl.DataFrame) -> None:
    """One row per finding, or one without any: that nothing is open was told, too."""
    parts = [p for p in day.home.tables.parts(_ROOM, _TABLE) if p.stem == day.day_on.isoformat()]
    before = pl.read_parquet(parts) if parts else pl.DataFrame(schema=_TOLD)
    rows = state if state.height else pl.DataFrame([dict.fromkeys(STATE)], schema=STATE)
    told = rows.with_columns(whom=pl.lit(whom), channel=pl.lit(channel)).select(_TOLD.names()).cast(_TOLD)
    day.home.tables.write_day(_ROOM, _TABLE, day.day_on, pl.concat([before, told]))
