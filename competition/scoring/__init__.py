"""What numbers mean: pure functions on arrays. No torch, no files, no tables.

Throughout, a *label* is a 1-D array of 0 and 1 (integers or booleans), a *score* a 1-D array of probabilities or
logits, and a row is called positive, which makes its *decision* 1, when score >= threshold.
"""
