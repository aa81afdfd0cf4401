"""The page that runs in the browser: its build and its local server."""
