"""The desk for recorded scans: find a file, look into it, try one slice, open the result."""
