"""Steps, by what the user wants to do."""
