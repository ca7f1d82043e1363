"""How many floating-point operations a piece of work takes, by torch's own formulas."""

from typing import Any

import torch
from torch._ops import HigherOrderOperator
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


class Operations(TorchDispatchMode):
    """Counts the floating-point operations inside a `with` block.

    The formulas are those of `torch.utils.flop_counter`, and so is the result. Torch's own counter also says which
    module did what; that triples its cost, which a short stage would feel.

    Attributes
    ----------
    total : int
        The count so far: two for each multiplication of a matrix product.

    Examples
    --------
    >>> with Operations() as counted:
    ...     product = torch.ones(2, 3) @ torch.ones(3, 4)
    >>> counted.total
    48
    """

    supports_higher_order_operators = True

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        formula = None if isinstance(func, HigherOrderOperator) else flop_registry.get(func._overloadpacket)
        if formula is None:
            if torch.is_inference_mode_enabled() and not isinstance(func, HigherOrderOperator):
                with self:  # elsewhere autograd has taken composite operators apart already
                    parts = func.decompose(*args, **kwargs)
                if parts is not NotImplemented:
                    return parts
            return func(*args, **kwargs)
        result = func(*args, **kwargs)
        self.total += formula(*args, **kwargs, out_val=result)
        return result
