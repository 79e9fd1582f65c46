"""Training somewhere else (`engine=kaggle`): what is sent, what runs there, and what comes back."""
