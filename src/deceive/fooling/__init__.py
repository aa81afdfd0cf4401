"""Images optimised until a network is sure of them: starts, objectives, step rules, the loop."""
