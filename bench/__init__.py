"""How fast records become verdicts, beside the same work in plain SQL. Measures; nothing of the program imports it."""
