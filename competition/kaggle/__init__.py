"""The rim to Kaggle: its real command line for what changes something, its typed API for reading back."""
