"""The application: the HTTP server, its web page, and the participant import."""
