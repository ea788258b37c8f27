"""Telling other programs what happens to customers and their mail: signed, retried, and only what may be seen."""
