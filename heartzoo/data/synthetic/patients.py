"""The patients of the synthetic database: what each has, and how they differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from heartzoo.data.synthetic.waves import LEFT_BLOCK_RANGES, NARROW_RANGES, RIGHT_BLOCK_RANGES, draw_templates


@dataclass(frozen=True)
class Profile:
    """What a patient has.

    Attributes:
        atrial: share of atrial premature beats.
        ventricular: share of ventricular premature beats.
        fusion: share of fusion beats.
        fibrillation: share of beats in atrial fibrillation.
        paced: share of paced beats.
        block: whether a bundle branch is blocked.
    """

    atrial: float = 0.0
    ventricular: float = 0.0
    fusion: float = 0.0
    fibrillation: float = 0.0
    paced: float = 0.0
    block: bool = False


# Record n has profile n % 8, so that 24 records for training and 8 for testing both hold every class.
_PROFILES = (
    Profile(atrial=0.01),
    Profile(atrial=0.17),
    Profile(ventricular=0.16, fusion=0.02),
    Profile(atrial=0.08, ventricular=0.07),
    Profile(atrial=0.06, ventricular=0.06, block=True),
    Profile(atrial=0.06, ventricular=0.04, fibrillation=0.5),
    Profile(ventricular=0.04, paced=0.7),
    Profile(atrial=0.05, ventricular=0.08, fusion=0.06),
)


@dataclass(frozen=True)
class Patient:
    """What stays the same throughout a record.

    Attributes:
        profile: what the patient has.
        templates: the patient's waves by kind of beat, shape (kinds, waves, 3), as :func:`draw_templates` gives them.
        burden: factor on the profile's shares of ectopic beats and of fibrillation.
        mean_rr: mean R-R interval in s.
        breathing: breaths per second.
        respiratory: amplitude of the respiratory variation of the R-R interval, a fraction of its mean.
        slow: amplitude of its slow variation, a fraction of its mean.
        symbol: WFDB symbol of the normal beats: N, or L or R with a blocked bundle branch.
        comment: age and sex, as in the headers of mitdb.
    """

    profile: Profile
    templates: np.ndarray
    burden: float
    mean_rr: float
    breathing: float
    respiratory: float
    slow: float
    symbol: str
    comment: str


def draw_patient(rng: np.random.Generator, number: int) -> Patient:
    """Draw the patient of a record from the number in its name."""
    profile = _PROFILES[number % len(_PROFILES)]
    right = number // len(_PROFILES) % 2 == 1
    age, sex = rng.integers(60 if profile.fibrillation or profile.paced else 25, 90), "MF"[rng.integers(2)]
    block = RIGHT_BLOCK_RANGES if right else LEFT_BLOCK_RANGES
    return Patient(
        profile=profile,
        templates=draw_templates(rng, block if profile.block else NARROW_RANGES),
        burden=rng.uniform(0.6, 1.3),
        mean_rr=60.0 / rng.uniform(50.0, 75.0 if profile.paced else 110.0),
        breathing=rng.uniform(0.18, 0.35),
        respiratory=rng.uniform(0.01, 0.07),
        slow=rng.uniform(0.01, 0.05),
        symbol=("R" if right else "L") if profile.block else "N",
        comment=f"{age} {sex}",
    )
