"""Interoperability with other libraries: timm, spandrel, basicsr, ONNX."""
