"""What tomocupy wrote, and how it calls things."""
