"""`cross-experts`: a mixture of experts in which each modality looks at the others inside the bottleneck."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from polymnia.data.batch import Batch
from polymnia.data.stage import Outline
from polymnia.errors import SettingsError
from polymnia.layers.adapters.base import Adapter, register
from polymnia.layers.adapters.cross import CROSS, Cross, Inside, cleaned
from polymnia.layers.experts import Routes
from polymnia.layers.gates import Choice, Gate


class Expert(nn.Module):
    """The weights of one expert, apart from all others', so that none of them reaches an optimiser when it is frozen.

    For each modality: `down` (r, d), `up` (d, r) and `bias` (d,), both zero at start, and for crossing by gate
    `across` (r, r).
    """

    def __init__(self) -> None:
        super().__init__()
        self.down, self.up, self.bias = nn.ParameterDict(), nn.ParameterDict(), nn.ParameterDict()
        self.across = nn.ParameterDict()

    def add(self, modality: str, width: int, bottleneck: int, *, across: bool, frozen: bool) -> None:
        """Add the weights of a modality."""
        self.down[modality] = nn.Linear(width, bottleneck, bias=False).weight
        self.up[modality] = nn.Parameter(torch.zeros(width, bottleneck))
        self.bias[modality] = nn.Parameter(torch.zeros(width))
        if across:
            self.across[modality] = nn.Linear(bottleneck, bottleneck, bias=False).weight
        if frozen:
            self.requires_grad_(False)


@register("cross-experts")
class CrossExperts(Adapter):
    """E experts of which a gate chooses K for each sample; in its bottleneck an expert crosses the modalities.

    ``Z_m = X_m W↓_{e,m}``, ``U_m = Z_m + mean over n ≠ m of A_{m←n} Z_n`` with ``A_{m←n} = softmax(Z_m Z_nᵀ / √r)``,
    ``O_{e,m} = GELU(U_m) W↑_{e,m}``; a modality gets ``Σ w_e O_{e,m}`` over the chosen experts. The mean is over the
    others that the sample has; a sample gets zeros for a modality that it lacks.

    After a stage the most used experts can be frozen, never the last one that is not, and none without use. At the
    t-th stage (from 0) there are ``max(experts, freeze · t + 1)``, so that one is always free; new rows of the gate
    are 0. A modality that comes later has new weights in every expert; in a frozen one they are frozen too, and what
    it adds for this modality stays zero.

    With ``gate: own`` a modality's choice is its own, and its experts see the other modalities through their own
    weights, whatever experts those chose.

    Source: Chee et al. 2025, section on the cross-modality adapter, as far as known. Left open there: the form of
    the attention map (`cross`), the mean over the others, GELU, zero at start, which experts are frozen, growth.
    """

    frozen: Tensor

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """How many experts of which size, and how they are chosen, cross modalities, and are kept."""

        experts: int = 8
        active: int = 2
        """Experts that work on a sample."""
        bottleneck: int = 64
        cross: Literal["attention", "gate", "none"] = "attention"
        """How modalities meet: by tokens; by one sigmoid a sample and dimension (the other reading); not at all."""
        gate: Literal["shared", "own"] = "shared"
        freeze: int = 0
        """Experts that are frozen after each stage."""
        gate_rows: bool = False
        """Whether a frozen expert's rows of the gate are frozen with it."""
        noise: bool = False
        """Noisy choice in training."""

        def __post_init__(self) -> None:
            least = {"experts": 1, "active": 1, "bottleneck": 1, "freeze": 0}
            for name, bound in least.items():
                if getattr(self, name) < bound:
                    raise SettingsError(f"adapter.{name}: {getattr(self, name)} is given; at least {bound} is accepted")
            if self.active > self.experts:
                raise SettingsError(
                    f"adapter.active: {self.active} is given, and there are {self.experts} experts: "
                    f"set active to at most {self.experts}, or raise experts"
                )

    settings: Settings

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__(settings)
        s = self.settings
        self.experts = nn.ModuleList()
        self.stages = 0
        self.register_buffer("frozen", torch.zeros(0, dtype=torch.bool))
        self.widths: dict[str, int] = {}
        self.cross: Cross = CROSS[s.cross]
        needed = s.experts > 1 or s.freeze
        self.gate = Gate(s.active, own=s.gate == "own", noise=s.noise, keep_rows=s.gate_rows) if needed else None

    def grow(self, stage: Outline, modalities: Sequence[str]) -> None:
        """Add the weights of new modalities to every expert, and new experts where too many may be frozen."""
        s = self.settings
        new = {m: stage.widths[m] for m in sorted(modalities) if m not in self.widths}
        for expert, frozen in zip(self._experts(), self.frozen.tolist(), strict=True):
            for m, width in new.items():
                expert.add(m, width, s.bottleneck, across=s.cross == "gate", frozen=frozen)
        self.widths.update(new)
        wanted = max(s.experts, s.freeze * self.stages + 1)
        while len(self.experts) < wanted:
            expert = Expert()
            for m, width in sorted(self.widths.items()):
                expert.add(m, width, s.bottleneck, across=s.cross == "gate", frozen=False)
            self.experts.append(expert)
        self.frozen = torch.cat([self.frozen, self.frozen.new_zeros(wanted - len(self.frozen))])
        if self.gate is not None:
            self.gate.grow(wanted, self.widths)
        self.stages += 1

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return modality → (B, T, d), Σ w_e O_{e,m}."""
        batch = self._known(batch)
        choices = self._choices(batch, noisy=self.training)
        if self.settings.gate == "own":
            return {m: self._added(batch, [m], choices[m])[m] for m in batch.modalities}
        return self._added(batch, batch.modalities, choices[batch.modalities[0]]) if batch.values else {}

    def _added(self, batch: Batch, names: Sequence[str], choice: Choice) -> dict[str, Tensor]:
        """Return what the chosen experts add to the named modalities; they see all of them."""
        experts = self._experts()
        seen = batch.modalities if self.settings.cross != "none" else names
        routes = Routes(*choice, len(experts), length=max(batch.values[m].shape[1] for m in seen))
        inside = {m: _inside(batch, m, routes, [e.down[m] for e in experts]) for m in seen}
        added: dict[str, Tensor] = {}
        for m in names:
            across = [e.across[m] for e in experts] if self.settings.cross == "gate" else []
            crossed = self.cross(m, inside, lambda means, across=across: routes.inside(means, across))
            hidden = gelu(crossed) * routes.weights[:, None, None]
            out = routes.leave(hidden, [e.up[m] for e in experts])
            added[m] = cleaned(out + routes.bias([e.bias[m] for e in experts])[:, None], batch, m)
        return added

    def _known(self, batch: Batch) -> Batch:
        """Return the batch with the modalities that it has grown by, zero where invalid or missing."""
        known = batch.only(self.widths)
        return replace(known, values={m: cleaned(v, known, m) for m, v in known.values.items()})

    def _choices(self, batch: Batch, *, noisy: bool) -> Mapping[str, Choice]:
        if self.gate is not None:
            return self.gate(batch, noisy=noisy)
        ones = torch.ones(len(batch), 1, device=batch.targets.device)
        return dict.fromkeys(batch.modalities, Choice(torch.zeros_like(ones, dtype=torch.long), ones))

    # counting and freezing ---------------------------------------------------------------------------------------

    @torch.no_grad()
    def usage(self, batch: Batch) -> Tensor:
        """Return (E,): for each expert the sum of its weights over samples, without noise.

        With gates of their own, the sum over modalities too. A sample counts where it has the modality.
        """
        batch = self._known(batch)
        total = torch.zeros(len(self.experts), device=self.frozen.device)
        choices = self._choices(batch, noisy=False)
        has = {m: batch.has(m) for m in choices}
        if self.settings.gate == "shared" and choices:  # the same choice for all: count it once
            first = next(iter(choices))
            choices, has = {first: choices[first]}, {first: torch.stack(list(has.values())).any(0)}
        for m, choice in choices.items():
            total.index_add_(0, choice.experts.flatten(), (choice.weights * has[m][:, None]).flatten().to(total))
        return total

    def freeze(self, usage: Tensor, count: int) -> None:
        """Freeze the `count` most used experts that are not frozen and were used at all, never the last one."""
        used = usage.tolist()
        free = [e for e, frozen in enumerate(self.frozen.tolist()) if not frozen]
        most = sorted((e for e in free if used[e] > 0), key=lambda e: -used[e])[: min(count, len(free) - 1)]
        for e in most:
            self.experts[e].requires_grad_(False)
        self.frozen[most] = True
        if self.gate is not None:
            self.gate.keep(most)

    def _load_from_state_dict(self, *given: Any) -> None:  # ty: ignore[incompatible-method-override]
        """Load, and let what may be trained follow `frozen`, where that changed."""
        before = self.frozen.clone()
        super()._load_from_state_dict(*given)
        for e in (before != self.frozen).nonzero().flatten().tolist():
            self.experts[e].requires_grad_(not self.frozen[e])

    def _experts(self) -> list[Expert]:
        return list(self.experts)  # ty: ignore[invalid-explicit-return]


def _inside(batch: Batch, modality: str, routes: Routes, down: Sequence[Tensor]) -> Inside:
    """Return a modality's tokens in the bottleneck of each sample's experts, and which of them count."""
    valid, present = batch.valid.get(modality), batch.present.get(modality)
    return Inside(
        routes.enter(batch.values[modality], down),
        None if valid is None else routes.spread(valid),
        None if present is None else routes.spread(present),
    )
