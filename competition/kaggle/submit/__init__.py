"""The commands `submit` and `ledger`: once to Kaggle, and followed until it is known what came of it."""
