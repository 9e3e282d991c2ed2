"""The day of the last run, for commands that look at its tables and need what journey.yaml says. Nothing is read anew."""

from pathlib import Path

from journey_pipeline.cli.warehouse import missing, settings_file
from journey_pipeline.errors import JourneyError
from journey_pipeline.orchestration.home import Home
from journey_pipeline.orchestration.steps import Day, last_as_of
from journey_pipeline.settings import Places, load


def last_day(where: Places, settings: Path | None) -> Day:
    """The day whose tables lie in the home, at the instant at which they were made.

    Raises:
        JourneyError: if there are none, or the settings are wrong.
    """
    home = Home(where.home, where.raw_url)
    as_of = last_as_of(home)
    if as_of is None:
        raise JourneyError(missing(where.home))
    file = settings_file(settings, where)
    return Day(load(file), file.parent, home, as_of)
