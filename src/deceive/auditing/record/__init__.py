"""What an audit writes down: its run folder, and the report made of it."""
