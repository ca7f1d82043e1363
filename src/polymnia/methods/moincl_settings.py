"""The settings of `moincl`, and those that its authors' scripts give each stage of the two published orders."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, Self

from polymnia.errors import SettingsError, nearest

OWN_TO_A_STAGE = ("distil", "fuse", "instruct", "pseudo")
"""What `per_stage` may set."""
SHARES = ("fuse", "pseudo", "wrong")
LEAST = {"distil": 0.0, "instruct": 0.0, "instructions": 1, "beams": 1, "most": 1, "fuse_every": 0}
ABOVE_0 = ("temperature", "repetition")

RELEASED: Mapping[str, tuple[Mapping[str, float], ...]] = {
    "1": (
        {},
        {"fuse": 0.1, "pseudo": 0.0},
        {"fuse": 0.1, "pseudo": 0.0},
        {"fuse": 0.1, "pseudo": 0.5, "distil": 1.0},
        {"fuse": 0.5, "pseudo": 0.125, "distil": 0.5},
        {"fuse": 0.5, "pseudo": 0.5, "distil": 0.1},
    ),
    "2": (
        {},
        {"fuse": 0.8, "pseudo": 0.0},
        {"fuse": 0.5, "pseudo": 0.5, "distil": 0.5},
        {"fuse": 0.8, "pseudo": 0.25, "distil": 0.1},
        {"fuse": 0.1, "pseudo": 0.5, "distil": 0.1},
        {"fuse": 0.5, "pseudo": 0.5, "distil": 1.0},
    ),
}
"""`per_stage` of orders 1 and 2 in the released scripts: tuned by stage and by order, so a row apart in comparisons.

They count 4, 2 or 1 pseudo pairs with 8 samples: half, a quarter or an eighth here.

Source: Pian et al. 2024 (MoInCL), the two launch scripts of the released code.
"""


@dataclass(frozen=True, kw_only=True)
class MoInCLSettings:
    """How strong each part is; the same in all stages, unless `per_stage` says otherwise."""

    pseudo: float = 0.5
    """Most pseudo pairs with a batch, as a share of its samples; 0: none are made."""
    captions: bool = True
    """Whether captions are made while answering is learned, where the modality was seen."""
    answers: bool = True
    """Whether questions and answers are made while captioning is learned, once answering was learned."""
    distil: float = 0.5
    """Of the distance to the old model on pseudo pairs, where it has seen the modality."""
    instruct: float = 1.0
    """Of the distance to the old model on instructions; 0: no instruction is drawn."""
    instructions: int = 4
    """Drawn with each batch."""
    instructions_file: str | None = None
    """A text file, one instruction a line; by default the host's."""
    when: Literal["always", "new"] = "always"
    """Whether instructions are drawn in every stage but the first, or only where a modality is new."""
    instructor: Literal["before", "host"] = "before"
    """Who teaches instructions: the model of the stage before; or the language model as it came, also in the first.

    The released code has the former [K]. What a language model loses in the first stage is then lost for good, for from
    the second stage on the loss itself is what is held; the latter is ours.
    """
    temperature: float = 5.0
    """Of both distillations."""
    fuse: float = 1.0
    """Share of the new weights in fusion with those of the stage before; 1: no fusion, 0: nothing is learned."""
    fuse_every: int = 0
    """Steps from fusion to fusion; 0: at the end of each epoch, before validation."""
    wrong: float = 0.0
    """Share of pseudo targets that are replaced by wrong ones: for experiments on their quality."""
    beams: int = 1
    """Of pseudo captions; the released code has 5, with repetition 1.15, length 0 and 80 tokens at most."""
    most: int = 40
    """Tokens of a pseudo target at most."""
    repetition: float = 1.0
    length: float = 1.0
    """Exponent of the length that a beam's score is divided by."""
    per_stage: tuple[Mapping[str, float], ...] = ()
    """For each stage the settings of its own: distil, fuse, instruct, pseudo; one mapping a stage, the first too."""

    def __post_init__(self) -> None:
        for name in SHARES:
            if not 0 <= getattr(self, name) <= 1:
                raise SettingsError(f"method.{name}: {getattr(self, name)} is given; a share from 0 to 1 is needed")
        for name, least in LEAST.items():
            if getattr(self, name) < least:
                raise SettingsError(f"method.{name}: {getattr(self, name)} is given; at least {least} is needed")
        for name in ABOVE_0:
            if getattr(self, name) <= 0:
                raise SettingsError(f"method.{name}: {getattr(self, name)} is given; a number above 0 is needed")
        for index, own in enumerate(self.per_stage):
            for name in own:
                if name not in OWN_TO_A_STAGE:
                    guess = nearest(name, OWN_TO_A_STAGE)
                    raise SettingsError(
                        f"method.per_stage[{index}].{name}: a stage has no such setting of its own."
                        + (f" Did you mean {guess!r}?" if guess else "")
                        + f" Accepted: {', '.join(OWN_TO_A_STAGE)}."
                    )
            self._with(index, own)

    def at(self, index: int) -> Self:
        """Return the settings of a stage.

        Raises
        ------
        SettingsError
            There are settings for each stage, and for this one there are none.
        """
        if not self.per_stage:
            return self
        if index >= len(self.per_stage):
            raise SettingsError(
                f"method.per_stage: {len(self.per_stage)} stages are given, and there is a stage {index + 1}; "
                "give one mapping for each stage, empty where nothing is its own"
            )
        return self._with(index, self.per_stage[index])

    def _with(self, index: int, own: Mapping[str, float]) -> Self:
        try:
            return replace(self, per_stage=(), **own)
        except SettingsError as error:
            raise SettingsError(str(error).replace("method.", f"method.per_stage[{index}].", 1)) from None

    @property
    def teaches(self) -> bool:
        """Whether any stage needs the model of the stage before."""
        of = [self, *(self._with(i, own) for i, own in enumerate(self.per_stage))]
        return any(s.pseudo or s.instruct or s.fuse < 1 for s in of)
