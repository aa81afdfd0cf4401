"""What is kept on disk: run folders, networks with their cards, ONNX files."""
