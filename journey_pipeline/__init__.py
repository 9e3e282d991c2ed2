"""Journey Pipeline: one row per buyer path, and every handoff that broke."""
