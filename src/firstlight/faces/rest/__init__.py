"""REST, websockets and the web pages."""
