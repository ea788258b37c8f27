"""What was exchanged: messages, threads, attachments, folders; parse, match, file, render, search."""
