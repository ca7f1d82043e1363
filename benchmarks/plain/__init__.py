"""The floor: the same methods in plain PyTorch with a DataLoader over a TensorDataset, as one writes them for a paper.

Each does the same arithmetic as its counterpart in Polymnia: as many forward and backward passes over as many rows,
the same memory policy and the same work at the end of a stage. The network is 784-100-100-10 throughout.
"""

from collections.abc import Callable

from benchmarks.plain.features import NCM, SLDA, RanPAC
from benchmarks.plain.loop import EWC, SI, Finetune, Joint, LwF
from benchmarks.plain.rehearsal import AGEM, ERACE, CoPE, DERpp, ICaRL, Replay

PLAIN: dict[str, Callable[[], Finetune]] = {
    "finetune": Finetune, "joint": Joint, "ewc": EWC, "si": SI, "lwf": LwF, "replay": Replay, "a-gem": AGEM,
    "der++": DERpp, "er-ace": ERACE, "icarl": ICaRL, "cope": CoPE, "ncm": NCM, "slda": SLDA, "ranpac": RanPAC,
}  # fmt: skip
