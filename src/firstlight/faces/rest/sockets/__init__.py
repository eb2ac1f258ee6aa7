"""The websockets: pictures and events."""
