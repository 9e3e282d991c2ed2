"""Stories that befall many at once, for one cause: what is to be told as one incident. How often is plan.py's."""

from journey_pipeline.sandbox.story import BOOTCAMP, EBOOK, NOTHING, ago, alike, fault

_TWO_HOURS = ago(4, 4 + 2 / 24)

FAULTS = (
    fault("locked out in the two hours of an outage", "paid_implies_access", crowd=7, **BOOTCAMP, **NOTHING,
          anchor_at=_TWO_HOURS),
)  # fmt: skip

ALIKES = (
    alike("served in the two hours of an outage", "paid_implies_access", crowd=14, **EBOOK, anchor_at=_TWO_HOURS),
)  # fmt: skip
