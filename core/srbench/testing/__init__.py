"""The conformance kit: named checks that every model must pass before it is measured.

In a plugin's tests, one line:

    test_conformance = conformance_test("edsr_tiny+my_sharing", "my_backbone")

or with examples drawn by Hypothesis:

    @parametrize_with_checks(["edsr_tiny+my_sharing", "my_backbone"])
    def test_conformance(model, check):
        check(model)

`run_checks` runs each check once on a fixed example, and needs neither pytest nor Hypothesis: `srbench run` does so
before measuring, and stores the outcome with the result. `srbench check` shows the same outcome on the terminal.
"""

from srbench.testing.checks import CHECKS, CheckFailedError, CheckSkipped, Example
from srbench.testing.kit import check_model, conformance_test, parametrize_with_checks, run_checks
from srbench.testing.outcomes import ALL_CHECKS, Outcome

__all__ = [
    "ALL_CHECKS",
    "CHECKS",
    "CheckFailedError",
    "CheckSkipped",
    "Example",
    "Outcome",
    "check_model",
    "conformance_test",
    "parametrize_with_checks",
    "run_checks",
]
