"""How long tests wait for what is certain to happen: long enough for a busy machine, so that only what hangs fails."""

#: Seconds.
PATIENCE = 60.0
