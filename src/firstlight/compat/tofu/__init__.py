"""What tofu wrote, and how it calls things."""
