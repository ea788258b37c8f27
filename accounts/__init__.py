"""Organisations, users, mailboxes and their secrets, and the mail servers we may talk to."""
