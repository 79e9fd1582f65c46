"""What is wrong with the data before a model sees it."""
