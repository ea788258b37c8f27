"""POP3 in: scheduling, sessions, polling, deletion on the server."""
