"""Leads and contacts, their addresses, and what happens when those change."""
