"""A soak test: damaged inputs for every reader, and kills at every write of every kind of run."""
