"""`er-ace`: replay whose new classes do not push the old ones away."""

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from polymnia.data.batch import Batch
from polymnia.methods.base import Off, Terms, register
from polymnia.methods.replay import Replay


@register("er-ace")
class ERACE(Replay):
    """Replay with asymmetric cross-entropy: the batch competes among its own classes, what is replayed among all.

    The loss is the sum of the two means. The batch's own classes are those of its labels. Without a memory there is
    nothing to be asymmetric to, and plain cross-entropy is used.

    Source: Caccia et al. 2022 (New insights on reducing abrupt representation change), eq. 2 and alg. 1.
    """

    needs = frozenset({"logits", "one row a sample"})
    off: ClassVar[Off] = {"memory": 0}

    def loss(self, batch: Batch) -> Terms:
        """Return the batch's loss among its own classes and the replayed samples' loss among all."""
        if not self.memory.capacity:
            return {"task": self.task_loss(self.model(batch))}
        replayed, b = self.drawn(batch), len(batch)
        self.remember(batch)
        output = self.model(batch.join(replayed) if len(replayed) else batch)
        terms = {"task": among_own(output.logits[:b], output.targets[:b]), **output.losses}
        if len(replayed):
            terms["replay"] = self.task_loss(output.take(slice(b, None)))
        return terms


def among_own(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the cross-entropy of logits (B, K) over the classes that the targets (B,) hold.

    Examples
    --------
    >>> among_own(torch.tensor([[0.0, 0.0, 50.0]]).repeat(2, 1), torch.tensor([0, 1]))  # ln 2: class 2 is not asked
    tensor(0.6931)
    """
    own = torch.zeros(logits.shape[1] + 1, dtype=torch.bool, device=logits.device)
    own[targets] = True  # -1, no target, marks the last place
    return cross_entropy(logits.masked_fill(~own[:-1], float("-inf")), targets, ignore_index=-1)
