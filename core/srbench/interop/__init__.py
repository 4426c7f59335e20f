"""Other libraries: timm, spandrel, ONNX."""
