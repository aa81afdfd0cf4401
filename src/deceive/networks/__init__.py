"""The classifiers, and how any model is asked."""
