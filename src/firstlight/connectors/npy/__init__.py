"""Arrays in numpy's own files (``.npy``), mapped from and to the disk."""
