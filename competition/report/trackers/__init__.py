"""Trackers: what a run leaves in its folder, sent to the tools in which people watch their trainings."""
