"""The fault campaign: what users, machines and strangers' files do to a run, drawn at random and checked every time."""
