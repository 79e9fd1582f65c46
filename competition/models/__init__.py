"""What is trained: a view of the picture, and a backbone that looks at it."""
