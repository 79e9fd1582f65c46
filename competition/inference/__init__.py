"""From images to probabilities by id."""
