"""A change of a recording: what training copies and the robustness tests are made of."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from heartzoo.config.section import Decibels, Section
from heartzoo.errors import UserError

RECORDED_NOISES = {"bw": "baseline wander", "em": "electrode motion", "ma": "muscle noise"}
NOISES = {**RECORDED_NOISES, "motion": "made electrode motion"}
_CHANGES = ("noise", "gain", "from_fs", "jitter_ms", "lost_share")


class Disturbance(Section):
    """One change of a whole recording, made before anything else is done to it.

    Of its first, of another or of a turned lead, in its own or another rhythm, with or without fused beats, which are
    changes themselves.
    """

    noise: Literal["bw", "em", "ma", "motion"] | None = Field(
        default=None, description="added at snr_db: a recording of nstdb, or (motion) made electrode motion"
    )
    snr_db: Decibels | None = Field(default=None, description="signal-to-noise ratio, dB; goes with noise")
    gain: Annotated[float, Field(ge=-1000.0, le=1000.0)] | None = Field(
        default=None, description="factor of the signal; below 0 the lead is inverted"
    )
    from_fs: Annotated[float, Field(ge=50.0, le=1000.0)] | None = Field(
        default=None, description="the recording comes at this sampling rate, Hz"
    )
    jitter_ms: Annotated[float, Field(gt=0.0, le=200.0)] | None = Field(
        default=None, description="each R peak is off by up to this, evenly distributed, ms"
    )
    lost_share: Annotated[float, Field(gt=0.0, le=0.5)] | None = Field(
        default=None, description="share of the signal that is lost, in runs of 20 ms to 5 s"
    )
    rhythm: Literal["arrhythmia", "block", "fibrillation", "premature", "tachycardia"] | None = Field(
        default=None,
        description="the patient's beats at other times, for training: in sinus arrhythmia, in second-degree "
        "atrioventricular block, in atrial fibrillation, with premature supraventricular beats, or with "
        "supraventricular tachycardias; alone or before a change; records with less than 50 beats that can be moved "
        "are left out",
    )
    fusion: Literal[True] | None = Field(
        default=None,
        description="for training: a tenth of the patient's normal beats mixed with the ventricular ones, which makes "
        "fusion beats; alone or before a change; records with less than 10 ventricular beats are left out",
    )
    other_lead: Literal[True] | None = Field(
        default=None,
        description="the recording's first other signal, alone or with a change; records that have none are left out",
    )
    turned_lead: Literal[True] | None = Field(
        default=None,
        description="a lead in the plane of the recording's first and of its first other signal, as electrodes at "
        "another place would have it: cos(a) of the one and sin(a) of the other, the angle drawn for each recording; "
        "alone or with a change; records that have no other signal are left out",
    )
    draw: Annotated[int, Field(ge=0)] = Field(
        default=0, description="seed of where or what the noise is, and of all else that is drawn for the change"
    )

    @model_validator(mode="after")
    def _is_one_change(self) -> Disturbance:
        given = [name for name in _CHANGES if getattr(self, name) is not None]
        if len(given) > 1 or not (given or self.takes_two_leads or self.rhythm or self.fusion):
            raise UserError(
                f"a disturbance is one of {', '.join(_CHANGES)}, with or without rhythm, fusion and other_lead or "
                f"turned_lead, found {' and '.join(given) or 'none'}",
                "give one in each entry",
            )
        if self.other_lead and self.turned_lead:
            raise UserError("a disturbance is of one lead, found other_lead and turned_lead", "give one of them")
        if (self.noise is None) != (self.snr_db is None):
            raise UserError("a disturbance by noise needs both noise and snr_db", "give both or neither")
        if self.gain == 0:
            raise UserError("a disturbance with gain 0 leaves no signal", "take another factor")
        return self

    @property
    def takes_two_leads(self) -> bool:
        """Whether it is only of recordings with another lead beside that which is taken."""
        return bool(self.other_lead or self.turned_lead)

    @property
    def recorded_noise(self) -> str | None:
        """The recording of nstdb that is added, if one is."""
        return self.noise if self.noise in RECORDED_NOISES else None

    @property
    def kind(self) -> str:
        """What changes, for a row of a table or a curve."""
        lead = "turned lead" if self.turned_lead else "other lead" if self.other_lead else None
        return ", ".join(part for part in (self._change, lead) if part)

    @property
    def _change(self) -> str | None:
        """What changes in the lead that is taken, None where nothing does."""
        if self.noise:
            return f"{NOISES[self.noise]} ({self.noise})"
        if self.gain is not None:
            return "amplitude" if self.gain > 0 else "inverted lead"
        if self.from_fs:
            return "resampled"
        if self.jitter_ms:
            return "R peaks jittered"
        if self.lost_share:
            return "signal lost"
        if self.rhythm:
            return "other rhythm"
        return "fused beats" if self.fusion else None

    @property
    def level(self) -> str:
        """How much it changes."""
        if self.snr_db is not None:
            return f"{self.snr_db:g} dB"
        if self.gain is not None:
            return f"x {self.gain:g}"
        if self.from_fs:
            return f"from {self.from_fs:g} Hz"
        if self.jitter_ms:
            return f"up to {self.jitter_ms:g} ms"
        if self.lost_share:
            return f"{self.lost_share:.0%}"
        if self.rhythm or self.fusion:
            return self.rhythm or "a tenth"
        return "by any angle" if self.turned_lead else "the first beside it"
