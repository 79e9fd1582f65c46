"""What a finished run looks like to a person: its pictures and its page."""
