"""Engines: what finishes a run's jobs, on this machine or elsewhere. A job does not know where it runs."""
