"""What the contests' results have in common."""

# Of the machine of made-up results.
FACTS = {
    "date": "today",
    "processor": "one",
    "cores": 2,
    "threads": 2,
    "load_average_at_start": 0.0,
    "working_dtype": "bfloat16",
    "versions": {"torch": "2"},
}
