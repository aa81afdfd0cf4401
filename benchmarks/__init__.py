"""Side by side with others: fooling, memory and training, each contest interleaved in one run."""
