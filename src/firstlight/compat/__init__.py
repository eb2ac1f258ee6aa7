"""Other programs' names, files and interfaces over ours."""
