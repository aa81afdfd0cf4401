"""The contests, a file each: a plan and its quick form, `run`, and the table of its rows."""
