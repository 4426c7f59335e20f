"""A text file that lists images as a data set."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path

from srbench.data.folders import FolderDataset
from srbench.errors import DataError
from srbench.images.files import is_image_file
from srbench.untrusted import read_text, user_path

__all__ = ["ListDataset"]


class ListDataset(FolderDataset):
    """The images listed in a text file, from one folder or several.

    Each line is an image file or a folder (meaning all its images), relative to the list's folder or to one of the
    folders in the environment variable `SRBENCH_DATA`; `#` starts a comment. This way a training set combined from
    others (T91 and the training half of BSDS500) is one file, without copies of images.
    """

    def __init__(self, path: Path | str) -> None:
        """Find the listed files; images are read on demand.

        Raises:
            DataError: The list cannot be read or is empty, a file does not exist, or two images have the same name.
        """
        self.path = user_path(path, "list of images", DataError)
        lines = read_text(self.path, what="list of images").splitlines()
        self.name = self.path.stem
        self.hr_folder = self.path.parent
        self._lr = {}
        places = [self.path.parent, *data_folders()]
        files: list[Path] = []
        missing = []
        for number, line in enumerate(lines, 1):
            entry = line.partition("#")[0].strip()
            if not entry:
                continue
            found = next((place / entry for place in places if (place / entry).exists()), None)
            if found is None:
                missing.append(f"'{entry}' (line {number})")
            elif found.is_dir():
                files += sorted(file for file in found.iterdir() if file.is_file() and is_image_file(file))
            else:
                files.append(found)
        if missing:
            listed = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
            raise DataError(
                f"the list '{path}' names {listed}, which {'is' if len(missing) == 1 else 'are'} neither in "
                f"'{self.path.parent}' nor in a folder of SRBENCH_DATA; put the folder that holds the images there"
            )
        self._hr = {}
        for file in files:
            if file.stem in self._hr:
                raise DataError(
                    f"the list '{path}' names '{self._hr[file.stem]}' and '{file}', which have the same image name: "
                    "keep one of them"
                )
            self._hr[file.stem] = file
        if not self._hr:
            raise DataError(f"the list '{path}' contains no images")


def packaged_lists() -> Path:
    """Return the folder with sr-bench's own lists."""
    return Path(str(resources.files("srbench.suites"))) / "lists"


def data_folders() -> list[Path]:
    """Return the folders listed in the environment variable `SRBENCH_DATA`."""
    return [
        user_path(place, "folder in SRBENCH_DATA", DataError)
        for place in os.environ.get("SRBENCH_DATA", "").split(os.pathsep)
        if place
    ]
