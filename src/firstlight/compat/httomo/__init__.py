"""What HTTomo wrote, and how it calls things."""
