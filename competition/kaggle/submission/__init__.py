"""What is uploaded, and what is known about it."""
