"""Images: read, resized, identified; data sets of them, from manifests, folders and the wheel of scikit-image."""
