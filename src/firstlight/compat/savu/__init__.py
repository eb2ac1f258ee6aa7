"""What Savu wrote, and how it calls things."""
