"""What is wrong with the data before a model sees it: leaks, shortcuts, twins and broken files."""
