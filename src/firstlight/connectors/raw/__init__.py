"""Plain numbers in one file, and a JSON file beside it that says what they are."""
