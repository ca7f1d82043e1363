"""`stage-experts`: a mixture of experts that all modalities share, with one router a modality and stage."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from polymnia.data.batch import Batch
from polymnia.data.stage import Outline
from polymnia.errors import SettingsError
from polymnia.layers.adapters.base import Adapter, one_width, register
from polymnia.layers.adapters.cross import cleaned
from polymnia.layers.experts import Routes
from polymnia.layers.gates import Choice
from polymnia.layers.projectors import masked_mean


class Expert(nn.Module):
    """``E(h) = U GELU(V h)``: `down` is V (r, D), `up` is U (D, r), zero at birth."""

    def __init__(self, width: int, bottleneck: int) -> None:
        super().__init__()
        self.down = nn.Linear(width, bottleneck, bias=False).weight
        self.up = nn.Parameter(torch.zeros(width, bottleneck))


@register("stage-experts")
class StageExperts(Adapter):
    """Each stage adds experts and routers, and freezes all that were there before.

    ``z = h + Σ g_e E_e(h)`` over the K experts with the largest logits ``R_{m,s} h + b_{m,s}``, g their softmax;
    tokens are routed one by one. A router is a modality's at a stage, over the experts that exist then, so a modality
    that comes back gets a new one and keeps the old: `forward` takes the newest, `of_stage` that of an earlier stage.
    What an old router returns is the same to the last bit after every later stage, because it sees its own experts
    alone. Experts serve all modalities, so that these have one width, and a modality that comes later starts with
    what old experts make of it, not with zero.

    A modality that comes back starts where it was: rows of old experts are copied, and a new expert gets the mean of
    their E logits less `margin` (and a row that differs a little). It takes an old one's place only where that lay
    lower still, and then with a weight of at most about ``exp(-E · margin / (K - 1))``: 0.0003 with four experts, two
    active and the default. Top-K gives no gradient to experts that are not chosen; what lifts them is `balance`, which
    counts all experts. A family that does not ask for it leaves new experts to new modalities.

    Source: comet.md §2.3, a reconstruction; the donor is Yu et al. 2024. Chosen here [X]: b and `margin` (with small
    random rows alone, a new router displaces trained experts at birth), importance by the softmax over all experts,
    noise of a fixed width.
    """

    frozen: Tensor

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """How many experts of which size, and how they are chosen and added."""

        experts: int = 4
        """Made in the first stage."""
        added: int = 2
        """Made in each later one."""
        bottleneck: int = 32
        active: int = 2
        """Experts that work on a token."""
        noise: float = 0.0
        """Standard deviation of what is added to each logit in training; drawn from the global generator, as dropout
        is, so that several processes draw apart."""
        balance: float = 0.01
        """Weight of the squared coefficient of variation of how much each expert is wanted; see `balance`."""
        margin: float = 2.0
        """How far below the mean logit of the old ones new experts start, in a router that is copied."""

        def __post_init__(self) -> None:
            least = {"experts": 1, "added": 0, "bottleneck": 1, "active": 1, "noise": 0, "balance": 0, "margin": 0}
            for name, bound in least.items():
                if getattr(self, name) < bound:
                    raise SettingsError(f"adapter.{name}: {getattr(self, name)} is given; at least {bound} is accepted")
            if self.active > self.experts:
                raise SettingsError(
                    f"adapter.active: {self.active} is given, and there are {self.experts} experts: "
                    f"set active to at most {self.experts}, or raise experts"
                )

    settings: Settings
    shared = True
    keeps = True

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__(settings)
        self.width = 0
        self.experts, self.routers = nn.ModuleList(), nn.ModuleDict()
        self.register_buffer("frozen", torch.zeros(0, dtype=torch.bool))

    def grow(self, stage: Outline, modalities: Sequence[str]) -> None:
        """Freeze what is there; add experts, and a router for each modality of the stage."""
        s = self.settings
        self.width = one_width(self, stage, modalities, self.width)
        self.requires_grad_(False)
        new = (s.added if len(self.experts) else s.experts) if modalities else 0
        self.experts.extend(Expert(self.width, s.bottleneck) for _ in range(new))
        self.frozen = torch.cat([torch.ones_like(self.frozen), self.frozen.new_zeros(new)])
        for m in sorted(modalities):
            newest = self.router(m)
            if m not in self.routers:
                self.routers[m] = nn.ModuleDict()
            self._of(m)[str(stage.index)] = self._made(newest)

    def _made(self, newest: nn.Linear | None) -> nn.Linear:
        """Return a router over all experts that decides as the newest one of its modality, if there is one."""
        made = nn.Linear(self.width, len(self.experts))
        with torch.no_grad():
            made.bias.zero_()
            if newest is not None:
                old = newest.out_features
                made.weight[:old], made.bias[:old] = newest.weight, newest.bias
                made.weight[old:] = newest.weight.mean(0) + 0.1 * made.weight[old:]
                made.bias[old:] = newest.bias.mean() - self.settings.margin
        return made

    def router(self, modality: str, stage: int | None = None) -> nn.Linear | None:
        """Return the newest router that a modality had at a stage (default: now); None where it had none."""
        routers = self._of(modality) if modality in self.routers else {}
        stages = [int(s) for s in routers if stage is None or int(s) <= stage]
        newest = routers[str(max(stages))] if stages else None
        assert newest is None or isinstance(newest, nn.Linear)
        return newest

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return modality → (B, T, D), by each modality's newest router."""
        return self._added(batch, None)

    def of_stage(self, batch: Batch, stage: int) -> dict[str, Tensor]:
        """Return what it added at the end of a stage, of the modalities that had come by then."""
        return self._added(batch, stage)

    def _added(self, batch: Batch, stage: int | None) -> dict[str, Tensor]:
        added: dict[str, Tensor] = {}
        for m in batch.modalities:
            router = self.router(m, stage)
            if router is not None:
                tokens = cleaned(batch.values[m], batch, m)
                rows = tokens.flatten(0, 1)  # (B · T, D)
                experts = self._experts()[: router.out_features]  # later ones have no influence, not even on rounding
                routes = Routes(*self._choice(router, rows, noisy=self.training), len(experts))
                hidden = gelu(routes.enter(rows, [e.down for e in experts])) * routes.weights[:, None]
                added[m] = cleaned(routes.leave(hidden, [e.up for e in experts]).view_as(tokens), batch, m)
        return added

    def _choice(self, router: nn.Linear, rows: Tensor, *, noisy: bool) -> Choice:
        logits = router(rows)
        if noisy and self.settings.noise:
            logits = logits + self.settings.noise * torch.randn_like(logits)
        top, experts = logits.topk(self.settings.active, 1)
        return Choice(experts, top.softmax(1))

    # how much each expert is wanted, counting and freezing --------------------------------------------------------

    def importance(self, batch: Batch) -> dict[str, Tensor]:
        """Return modality → (B, E), the mean over a sample's tokens of the softmax over all experts; zero if missing.

        Rows are samples, so that those of several processes can be gathered before `imbalance`.
        """
        wanted: dict[str, Tensor] = {}
        for m in batch.modalities:
            router = self.router(m)
            if router is not None:
                shares = router(cleaned(batch.values[m], batch, m)).softmax(-1)
                wanted[m] = _mean(shares, batch, m)
        return wanted

    def balance(self, batch: Batch) -> Tensor:
        """Return `balance` times the mean over modalities of the imbalance of their newest routers, a scalar."""
        wanted = [imbalance(shares) for shares in self.importance(batch).values()]
        return self.settings.balance * torch.stack(wanted).mean() if wanted else batch.targets.new_zeros(()).float()

    @torch.no_grad()
    def usage(self, batch: Batch) -> Tensor:
        """Return (E,): for each expert the sum over samples and modalities of its mean weight on their tokens."""
        total = torch.zeros(len(self.experts), device=self.frozen.device)
        for m in batch.modalities:
            router = self.router(m)
            if router is not None:
                tokens = cleaned(batch.values[m], batch, m)
                choice = self._choice(router, tokens.flatten(0, 1), noisy=False)
                weights = choice.weights.new_zeros(len(choice.weights), len(total))
                weights = weights.scatter(1, choice.experts, choice.weights).view(*tokens.shape[:2], -1)
                total += _mean(weights, batch, m).sum(0).to(total)
        return total

    def freeze(self, usage: Tensor, count: int) -> None:
        """Freeze the `count` most used experts that are not frozen and were used at all, never the last one."""
        used = usage.tolist()
        free = [e for e, frozen in enumerate(self.frozen.tolist()) if not frozen]
        most = sorted((e for e in free if used[e] > 0), key=lambda e: -used[e])[: min(count, max(len(free) - 1, 0))]
        for e in most:
            self.experts[e].requires_grad_(False)
        self.frozen[most] = True

    def _load_from_state_dict(self, *given: Any) -> None:  # ty: ignore[incompatible-method-override]
        """Load, and let what may be trained follow `frozen`, where that changed."""
        before = self.frozen.clone()
        super()._load_from_state_dict(*given)
        for e in (before != self.frozen).nonzero().flatten().tolist():
            self.experts[e].requires_grad_(not self.frozen[e])

    def _experts(self) -> list[Expert]:
        return list(self.experts)  # ty: ignore[invalid-explicit-return]

    def _of(self, modality: str) -> nn.ModuleDict:
        routers = self.routers[modality]
        assert isinstance(routers, nn.ModuleDict)
        return routers


def imbalance(importance: Tensor) -> Tensor:
    """Return the squared coefficient of variation of Σ over samples of (B, E): variance over squared mean, a scalar.

    Source: Shazeer et al. 2017, eq. 6 and 7; the variance here is that of the E experts, not of a sample of them.

    Examples
    --------
    >>> float(imbalance(torch.tensor([[1.0, 0.0], [1.0, 0.0]]))), float(imbalance(torch.tensor([[0.5, 0.5]])))
    (1.0, 0.0)
    """
    total = importance.sum(0)
    return total.var(correction=0) / total.mean().square().clamp(min=torch.finfo(total.dtype).tiny)


def _mean(values: Tensor, batch: Batch, modality: str) -> Tensor:
    """Return (B, E), the mean over valid tokens of (B, T, E); zero where the modality is missing."""
    mean = masked_mean(values, batch.valid.get(modality))
    present = batch.present.get(modality)
    return mean if present is None else torch.where(present[:, None], mean, 0.0)
