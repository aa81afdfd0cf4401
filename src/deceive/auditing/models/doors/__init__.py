"""Models of other libraries: how each is loaded, and what it declares about its images."""
