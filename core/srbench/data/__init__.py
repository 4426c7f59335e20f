"""Data sets: from manifests, folders, lists of images, and scikit-image's wheel."""
