"""`finetune`: nothing is done about forgetting; the floor that every method must beat."""

from typing import ClassVar

from polymnia.methods.base import Method, Off, register


@register("finetune")
class Finetune(Method):
    """Train on the current stage alone.

    Source: the sequential baseline of every study; see McCloskey and Cohen 1989 for what goes wrong.
    """

    off: ClassVar[Off] = {}
