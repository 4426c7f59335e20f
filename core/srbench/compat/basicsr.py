"""Make basicsr 1.4.2 importable with current versions of torch, quickly, or explain why it is not.

basicsr was last released in 2022. The following problems are handled here and nowhere else:

- torchvision, which it imports, may be built for another torch (see `srbench.compat.torchvision`).
- `torchvision.transforms.functional_tensor` was removed in torchvision 0.17; basicsr's degradations import one
  function from it, which lives on in `torchvision.transforms.functional`.
- `basicsr/__init__.py` and `basicsr/models/__init__.py` import every network, data set and model, which takes 0.7 s.
  They run when one of their names is first accessed, such as `basicsr.train_pipeline` or `basicsr.models.build_model`;
  until then `import basicsr.archs.edsr_arch` runs only that module and what it imports.
- `distutils`, which basicsr's networks import, was removed in Python 3.12; setuptools still provides it.
- opencv-python links libGL, which is missing on minimal servers.
- basicsr has no wheel, and its source cannot be built on Python 3.13 or later.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types

from srbench.compat.lazy_package import LazyPackage
from srbench.compat.torchvision import load_torchvision
from srbench.errors import PluginError

__all__ = ["load_basicsr"]

_NOT_NEEDED = "Evaluation of networks that do not use basicsr, and leaderboards, work without it."


def load_basicsr() -> None:
    """Make the submodules of basicsr importable; call it before the first `import basicsr.…`.

    Repeated calls cost nothing. If basicsr was already imported as a whole, that import is left as it is.

    Raises:
        PluginError: basicsr, or a library that it needs, is missing; the message says what to install.
    """
    if "basicsr" in sys.modules:
        return
    spec = importlib.util.find_spec("basicsr")
    if spec is None:
        advice = (
            "install Python 3.11 or 3.12 and sr-bench there: basicsr cannot be built on Python 3.13 or later"
            if sys.version_info >= (3, 13)
            else "install it with `pip install basicsr==1.4.2`"
        )
        raise PluginError(
            f"training and the EDSR networks need basicsr 1.4.2, which is not installed: {advice}. {_NOT_NEEDED}"
        )
    _import_torchvision()
    _import_cv2()
    if importlib.util.find_spec("distutils") is None:
        raise PluginError(
            "basicsr needs distutils, which Python no longer contains: install setuptools "
            f"(`pip install setuptools`), which brings it. {_NOT_NEEDED}"
        )
    _add_lazy_package("basicsr")
    _add_lazy_package("basicsr.models")


def _import_torchvision() -> None:
    try:
        load_torchvision("basicsr")
    except PluginError as error:
        raise PluginError(f"{error} {_NOT_NEEDED}") from error
    name = "torchvision.transforms.functional_tensor"
    if name not in sys.modules and importlib.util.find_spec(name) is None:
        functional = importlib.import_module("torchvision.transforms.functional")
        removed = types.ModuleType(name)
        removed.rgb_to_grayscale = functional.rgb_to_grayscale  # type: ignore[attr-defined]
        sys.modules[name] = removed


def _import_cv2() -> None:
    try:
        importlib.import_module("cv2")
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and error.name == "cv2":
            advice = "install it with `pip install opencv-python-headless`"
        elif "libgthread" in str(error) or "libglib" in str(error):
            advice = "install the system package libglib2.0-0 (Debian, Ubuntu: `apt-get install libglib2.0-0`)"
        else:
            advice = "install the system package libgl1 (Debian, Ubuntu: `apt-get install libgl1 libglib2.0-0`)"
        raise PluginError(
            f"basicsr needs OpenCV, and importing it failed: {error}. To fix it, {advice}. {_NOT_NEEDED}"
        ) from error


def _add_lazy_package(name: str) -> None:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.loader is None or spec.submodule_search_locations is None:
        raise PluginError(f"the installed basicsr has no package '{name}': install basicsr 1.4.2.")
    package = LazyPackage(name)
    package.__spec__, package.__loader__, package.__file__ = spec, spec.loader, spec.origin
    package.__package__, package.__path__ = name, list(spec.submodule_search_locations)
    sys.modules[name] = package
    parent, _, child = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], child, package)
