"""`journey tell`: carries the day's messages to their owners, or prints them. What they say is notify's."""

import os
from pathlib import Path

from rich.padding import Padding
from rich.text import Text

from journey_pipeline.cli.last import last_day
from journey_pipeline.cli.screen import console
from journey_pipeline.errors import JourneyError
from journey_pipeline.orchestration.telling import Telling, tell
from journey_pipeline.report import words
from journey_pipeline.settings import places


def tell_owners(*, is_dry: bool, settings: Path | None, home: Path | None) -> int:
    """Tell everybody what changed in the last run.

    Raises:
        JourneyError: if a message did not arrive; the others did.
    """
    day = last_day(places(os.environ, settings, home), settings)
    found = tell(day, os.environ, is_dry=is_dry)
    for telling in found:
        _print(telling, is_dry=is_dry)
    if not any(telling.message for telling in found):
        console.print("Nothing has changed since everybody was last told.")
    failed = [f"{telling.whom} by {telling.channel}" for telling in found if telling.outcome == "failed"]
    if failed:
        msg = f"{words.count(len(failed), 'message')} did not arrive: {words.listed(failed)}. Try again: journey tell"
        raise JourneyError(msg)
    return 0


def _print(telling: Telling, *, is_dry: bool) -> None:
    if telling.message is None:
        return
    how = {"sent": "told by", "failed": "could not be told by", "unsent": "would be told by"}[telling.outcome]
    where = (
        f"{how} {telling.channel}" if telling.channel else "told by nothing: notify: in journey.yaml names no channel"
    )
    console.print(Padding(Text.assemble((telling.whom, "bold"), f", {where}"), (1, 0, 0, 0)))
    if is_dry:
        console.print(Padding(Text(f"{telling.message.title}\n\n{telling.message.body}"), (0, 0, 0, 2)))
