"""Mutual information between two vectors of a sample, as a loss that pushes it down."""

from torch import Tensor, nn
from torch.func import functional_call

from polymnia.randomness import derive


class Club(nn.Module):
    """Contrastive log-ratio upper bound: how much better q(y | x) fits y's own x than another row's.

    q is a diagonal Gaussian; the nets of its mean and of its log-variance are MLPs of four layers, and tanh ends the
    latter. Two losses for one optimiser: `likelihood` fits q and reaches nothing else, `bound` reaches x and y and
    never q. So a batch fits q by one step, where the source takes five with an optimiser of its own; methods and
    families here return losses and never step.

    What is returned is an upper bound only as far as q fits: the variance lies in [1/e, e], so give vectors of about
    unit variance.

    Parameters
    ----------
    x, y : int
        Widths of the two vectors.
    hidden : int
        Width inside the nets.

    Source: Cheng et al. 2020 (CLUB), the variational bound and its sampled form; Xia et al. 2023 (Uni-Code), eq. 4-5,
    and its released code for the nets, with x the code vector and y what is specific to a modality. That code divides
    a clip's mean square by the exponential of its mean log-variance; here each step has its own, as in eq. 5.

    Examples
    --------
    >>> import torch
    >>> club = Club(4, 3)
    >>> x, y = torch.randn(8, 5, 4), torch.randn(8, 5, 3)
    >>> club.likelihood(x, y).shape, bool(club.bound(x, y, seed=0) >= 0)
    (torch.Size([]), True)
    """

    def __init__(self, x: int, y: int, hidden: int = 128) -> None:
        super().__init__()
        self.mean = _mlp(x, hidden, y)
        self.log_variance = nn.Sequential(_mlp(x, hidden, y), nn.Tanh())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance (…, d_y) of y for vectors x (…, d_x)."""
        return self.mean(x), self.log_variance(x)

    def likelihood(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the mean of −log q(y | x) without its constant, a scalar; its gradient reaches q alone.

        Parameters
        ----------
        x, y : Tensor
            (…, d_x) and (…, d_y).
        """
        mean, log_variance = self(x.detach())
        return ((y.detach() - mean).square() / log_variance.exp() + log_variance).sum(-1).mean() / 2

    def bound(self, x: Tensor, y: Tensor, *, seed: int, exact: bool = False, clamp: bool = True) -> Tensor:
        """Return the estimate of the mutual information of x and y, a scalar; its gradient reaches x and y, and not q.

        Every row is compared with one other row, at the same steps: rows are moved on by 1 to B − 1 places, drawn from
        the seed. So no row meets itself, where a permutation may let it.

        Parameters
        ----------
        x, y : Tensor
            (B, d_x) and (B, d_y), or (B, N, d_x) and (B, N, d_y).
        seed : int
            Of the draw.
        exact : bool
            Compare every row with all rows, itself included, as eq. 5 has it. For a diagonal Gaussian that is a mean
            and a variance of y, so it costs no more than one draw and varies less.
        clamp : bool
            Return no less than 0: below 0 the estimate rewards a q that fits badly, and information cannot be negative.

        Returns
        -------
        Tensor
            A scalar; zero, with a gradient of zero, for fewer than two rows.
        """
        if len(x) < 2:
            return (x.sum() + y.sum()) * 0.0
        held = {name: p.detach() for name, p in self.named_parameters()}
        mean, log_variance = functional_call(self, held, (x,))
        own = (y - mean).square()
        if exact:
            other = (y.mean(0) - mean).square() + y.var(0, correction=0)  # the mean over j of (y_j − mean)²
        else:
            places = derive(seed, "club") % (len(y) - 1) + 1
            other = (y.roll(places, 0) - mean).square()
        estimate = ((other - own) / log_variance.exp()).sum(-1).mean() / 2
        return estimate.clamp(min=0) if clamp else estimate


def _mlp(x: int, hidden: int, y: int) -> nn.Sequential:
    inner = [nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()]
    return nn.Sequential(nn.Linear(x, hidden), nn.ReLU(), *inner, nn.Linear(hidden, y))
