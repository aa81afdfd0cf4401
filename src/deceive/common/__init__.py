"""What every other part stands on: errors, checks, files, processes."""
