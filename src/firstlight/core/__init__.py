"""The vocabulary of firstlight: no files, no sockets, no GPU library."""
