"""The conformance kit: named checks that every model must pass before a measurement of it counts.

In a plugin's tests:

    from srbench.testing import parametrize_with_checks

    @parametrize_with_checks(["edsr_tiny+my_sharing", "my_backbone"])
    def test_conformance(model, check):
        check(model)

Each model is one test, and each check draws its images with Hypothesis. `run_checks` runs each once, on a fixed
example, and needs no Hypothesis: the runner does that before it measures, and stores the outcome with the result.
"""

from srbench.testing.checks import CHECKS, CheckFailedError, CheckSkipped, Example
from srbench.testing.kit import parametrize_with_checks, run_checks

__all__ = ["CHECKS", "CheckFailedError", "CheckSkipped", "Example", "parametrize_with_checks", "run_checks"]
