"""Re-parameterization as a sharing method: branches in training, which folding merges into one convolution.

Kinds added after networks had been measured are registered here, because the list in `method` is part of the digest
of those results.
"""

from srbench_zoo.reparam.method import KINDS

KINDS["repmbconv"] = "srbench_zoo.reparam.repmbconv"
KINDS["edbb"] = "srbench_zoo.reparam.edbb"
KINDS["rrrb"] = "srbench_zoo.reparam.rrrb"
KINDS["span"] = "srbench_zoo.reparam.span"
