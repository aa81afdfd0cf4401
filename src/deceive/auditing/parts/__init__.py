"""The parts of an audit, a file for each kind."""
