"""What pulls the paired modalities of a shared space together, and keeps what is theirs alone apart."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, cast

import torch
from torch import Tensor, nn

from polymnia.layers.codebooks.base import Codebook, Quantised
from polymnia.layers.information import Club
from polymnia.layers.objectives.base import Objective
from polymnia.layers.reconstruction import Disentangler, reconstruction
from polymnia.losses.codes import commitment, matching

Terms = dict[str, Tensor]
Sequences = Mapping[str, Tensor]
"""Modality → (B, N, D); the rows of a missing modality are 0."""


class Pairing(nn.Module):
    """The losses between paired modalities, each with its weight, and the parts that only they use.

    ``L_pair = L_rec + L_commit + L_contrast + w · L_match + v · max(0, L_MI)`` (specification eq. 10). Nothing here
    works at inference. With a weight of 0, and without a codebook, a loss and its parts are not there at all.

    Parameters
    ----------
    width : int
        D.
    objective : Objective
        L_contrast.
    codebook : Codebook, optional
        For L_commit and L_match, and for what is decoded; without one, sequences are decoded as they are.
    weights : settings
        `contrast`, `commit`, `cross_commit`, `match`, `reconstruct`, `information`.

    Source: Xia et al. 2023, eqs. 3-8; the sum as in the reconstruction of COMET (see the system's page).
    """

    def __init__(self, width: int, *, objective: Objective, codebook: Codebook | None, weights: Any) -> None:
        super().__init__()
        self.width, self.weights, self.objective = width, weights, objective
        self.codebook: list[Codebook] = [] if codebook is None else [codebook]  # the model's own: not saved twice
        self.disentangler = Disentangler() if weights.reconstruct else None
        self.clubs = nn.ModuleDict()

    def grow(self, widths: Mapping[str, int]) -> None:
        """Add the weights of new modalities; `widths` are those of their tokens."""
        self.objective.grow(sorted(widths))
        if self.disentangler is not None:
            self.disentangler.grow(widths, self.width)
            if self.weights.information:
                for m in sorted(widths):
                    if m not in self.clubs:
                        self.clubs[m] = Club(self.width, self.width)

    def forward(self, sequences: Sequences, tokens: Sequences) -> Terms:
        """Return the losses by name.

        Parameters
        ----------
        sequences, tokens : Mapping
            Modality → (B, N, D) in the space, and (B, N, d) as they came from the encoder.
        """
        w = self.weights
        rows = {m: there(z) for m, z in sequences.items()}
        terms = {"contrast": w.contrast * self.objective(sequences, rows)}
        coded = self.codes(sequences)
        if coded:
            terms |= self.coded(sequences, coded, rows)
        if self.disentangler is not None:
            disentangler = self.disentangler
            own = {m: disentangler.specific(m, tokens[m]) for m in sequences}
            shared = {m: coded[m].vectors if coded else z for m, z in sequences.items()}
            terms["reconstruct"] = w.reconstruct * self.decoded(shared, own, tokens, rows=rows)
            if w.information:
                terms |= self.apart(sequences, own, rows)
        return terms

    def codes(self, sequences: Sequences) -> dict[str, Quantised]:
        """Return modality → its sequences quantised; nothing without a codebook."""
        return {m: self.codebook[0].quantise(z) for m, z in sequences.items()} if self.codebook else {}

    def coded(self, sequences: Sequences, coded: Mapping[str, Quantised], rows: Mapping[str, Tensor]) -> Terms:
        """Return commitment to the codes, to the partner's too if so set, and code matching."""
        w, codes = self.weights, self.codebook[0].codes
        commits, matches, counts = [], [], []
        for one, other, both in pairs(rows):
            a, b = sequences[one][both], sequences[other][both]
            of_a, of_b = (codes[coded[m].ids[both]] for m in (one, other))
            cross = (of_b, of_a) if w.cross_commit else (None, None)
            commits.append(commitment(a, of_a, cross[0], weight=1.0) + commitment(b, of_b, cross[1], weight=1.0))
            if w.match:
                matches.append(matching(a, b, codes))
            counts.append(both.sum())
        if not counts:
            return {}
        found = {"commit": w.commit * _mean(commits, counts)}
        return found | ({"match": w.match * _mean(matches, counts)} if matches else {})

    def decoded(self, shared: Sequences, own: Sequences, tokens: Sequences, *, rows: Mapping[str, Tensor]) -> Tensor:
        """Return the mean over modalities of what is lost when tokens are decoded from codes and specific features."""
        disentangler: Any = self.disentangler
        lost = [reconstruction(disentangler.decode(m, z, own[m]), tokens[m], rows[m]) for m, z in shared.items()]
        return torch.stack(lost).mean()

    def apart(self, sequences: Sequences, own: Sequences, rows: Mapping[str, Tensor]) -> Terms:
        """Return mutual information of shared and specific features, and the loss of the net that estimates it."""
        bounds, likelihoods, clubs = [], [], self.clubs
        for m, z in sequences.items():
            seen, club = rows[m], cast(Club, clubs[m])
            if int(seen.sum()) > 1:
                bounds.append(club.bound(z[seen], own[m][seen], seed=0, exact=True))
                likelihoods.append(club.likelihood(z[seen], own[m][seen]))
        if not bounds:
            return {}
        bound, likelihood = torch.stack(bounds).mean(), torch.stack(likelihoods).mean()
        return {"information": self.weights.information * bound, "likelihood": likelihood}


def there(sequences: Tensor) -> Tensor:
    """Return (B,) bool: which rows of (B, N, D) are of samples that have the modality; the others are 0."""
    return sequences.detach().flatten(1).any(1)


def pairs(rows: Mapping[str, Tensor]) -> Iterator[tuple[str, str, Tensor]]:
    """Yield two modalities and the rows that have both, for all that are ever together."""
    for one, other in combinations(sorted(rows), 2):
        both = rows[one] & rows[other]
        if bool(both.any()):
            yield one, other, both


def groups(sequences: Sequences) -> list[Tensor]:
    """Return two batches of sequences that belong together, row by row and step by step: all pairs of all samples."""
    found = [
        (sequences[a][both], sequences[b][both]) for a, b, both in pairs({m: there(z) for m, z in sequences.items()})
    ]
    return [torch.cat([pair[side] for pair in found]).detach() for side in (0, 1)] if found else []


def _mean(terms: Sequence[Tensor], counts: Sequence[Tensor]) -> Tensor:
    shares = torch.stack(list(counts)).to(terms[0].dtype)
    return (torch.stack(list(terms)) * shares).sum() / shares.sum()
