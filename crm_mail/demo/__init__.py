"""What the demonstration needs and a real installation never imports: its own mail servers and sample mail."""
