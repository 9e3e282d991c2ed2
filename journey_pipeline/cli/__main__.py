"""`python -m journey_pipeline.cli`."""

from journey_pipeline.cli import main

main()
