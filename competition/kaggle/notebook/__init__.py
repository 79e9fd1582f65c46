"""The command `bundle`: a finished run as an offline Kaggle notebook."""
