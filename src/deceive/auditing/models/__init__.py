"""Any model, from a file, a factory or an object: loaded, met, and recognised."""
