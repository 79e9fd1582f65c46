"""How one (member, fold) is trained."""
