"""What the figures of an evaluation mean, in one line each."""

from __future__ import annotations

from stereo_depth_ros.evaluation.metrics import CLAIM_CONFIDENCE, MISSED_PX, NEAR_PX
from stereo_depth_ros.evaluation.report import ENOUGH
from stereo_depth_ros.evaluation.thin import THIN_STEP

MEANINGS = {
    "filled": "Every pixel that has a truth counts, with the model's answer however doubtful.",
    "raw": "Only pixels of a confidence above 0 count as answered.",
    "non-occluded": "Only pixels count that are visible in both images.",
    "EPE": "Mean absolute error of the disparity of the pixels that are answered.",
    "bad-N": "Pixels off by more than N px; one that is not answered counts as off.",
    "D1": "Pixels off by more than 3 px and by more than 5 % of the truth, as KITTI counts.",
    "density": "Pixels that are answered.",
    "AUSE / random": "How well confidence sorts the pixels by error: 0 is perfectly, 1 by chance.",
    "AUC": "Mean error of the pixels that are left as the least confident are removed, averaged "
    "over how many are left.",
    "sky": f"Sky that is claimed to be near, over {NEAR_PX:g} px at a confidence above "
    f"{CLAIM_CONFIDENCE:g}, in pairs with {ENOUGH} px of sky or more.",
    "thin": f"Thin structures (over {THIN_STEP:g} px nearer than what is on both sides of them) "
    f"that are off by more than {MISSED_PX:g} px, in pairs with {ENOUGH} px of them or more.",
}

UNITS = {"EPE": "px", "AUC": "px", "AUSE / random": ""}
"""Of the figures that are no shares in percent."""

HIGHER_IS_BETTER = frozenset({"density"})
"""Of all other figures the lower is the better one."""
