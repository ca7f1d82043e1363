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

    ``L_pair = u · L_contrast + L_commit + w · L_match + r · L_rec + v · max(0, L_MI)`` (specification eq. 10), and the
    likelihood of the nets that estimate L_MI, which reaches nothing but them. Nothing here works at inference. With a
    weight of 0, and what needs a codebook without one, a loss is not there at all, nor are the parts that only it uses.

    Parameters
    ----------
    width : int
        D.
    objective : Objective, optional
        L_contrast; None: it is not there.
    codebook : Codebook, optional
        For L_commit and L_match, and for what is decoded; without one, sequences are decoded as they are.
    weights : settings
        `contrast`, `commit`, `cross_commit`, `match`, `reconstruct`, `information`.

    Source: Xia et al. 2023, eqs. 3-8; the sum as in the reconstruction of COMET (see the system's page).
    """

    def __init__(self, width: int, *, objective: Objective | None, codebook: Codebook | None, weights: Any) -> None:
        super().__init__()
        self.width, self.weights, self.objective = width, weights, objective
        self.codebook: list[Codebook] = [] if codebook is None else [codebook]  # the model's own: not saved twice
        self.disentangler = Disentangler() if weights.reconstruct else None
        self.clubs = nn.ModuleDict()

    def grow(self, widths: Mapping[str, int]) -> None:
        """Add the weights of new modalities; `widths` are those of their tokens."""
        if self.objective is not None:
            self.objective.grow(sorted(widths))
        if self.disentangler is not None:
            self.disentangler.grow(widths, self.width)
            if self.weights.information:
                for m in sorted(widths.keys() - self.clubs.keys()):
                    self.clubs[m] = Club(self.width, self.width)

    def forward(self, sequences: Sequences, tokens: Sequences) -> Terms:
        """Return the losses by name; of rows that have one modality only, no more than reconstruction.

        Parameters
        ----------
        sequences, tokens : Mapping
            Modality → (B, N, D) in the space, and (B, N, d) as they came from the encoder.
        """
        w, terms = self.weights, {}
        rows = {m: there(z) for m, z in sequences.items()}
        if self.objective is not None:
            terms["contrast"] = w.contrast * self.objective(sequences, rows)
        quantised = {m: self.codebook[0].quantise(z) for m, z in sequences.items()} if self.codebook else {}
        if quantised:
            terms |= self.coded(sequences, quantised, rows)
        if self.disentangler is not None:
            own = {m: self.disentangler.specific(m, tokens[m]) for m in sequences}
            shared = {m: quantised[m].vectors if quantised else z for m, z in sequences.items()}
            terms["reconstruct"] = w.reconstruct * self.decoded(shared, own, tokens, rows=rows)
            if w.information:
                terms |= self.apart(sequences, own, rows)
        return terms

    def between(self, one: str, a: Tensor, other: str, b: Tensor) -> list[Tensor]:
        """Return weighted contrast and matching of two modalities' sequences (B, N, D); rows and steps belong together.

        For what is no part of a batch, such as a modality that is replayed.
        """
        w, terms = self.weights, []
        if self.objective is not None:
            terms.append(w.contrast * self.objective.between(one, a, other, b))
        if self.codebook and w.match:
            terms.append(w.match * matching(a, b, self.codebook[0].codes))
        return terms

    def coded(self, sequences: Sequences, quantised: Mapping[str, Quantised], rows: Mapping[str, Tensor]) -> Terms:
        """Return commitment to the codes, to the partner's too if so set, and code matching."""
        w, codes = self.weights, self.codebook[0].codes
        terms: dict[str, list[Tensor]] = {"commit": [], "match": []}
        counts: list[Tensor] = []
        for one, other, both in pairs(rows):
            a, b = sequences[one][both], sequences[other][both]
            of_a, of_b = (codes[quantised[m].ids[both]] for m in (one, other))
            crossed = (of_b, of_a) if w.cross_commit else (None, None)
            if w.commit:
                of_one = commitment(a, of_a, crossed[0], weight=w.commit)
                terms["commit"].append(of_one + commitment(b, of_b, crossed[1], weight=w.commit))
            if w.match:
                terms["match"].append(w.match * matching(a, b, codes))
            counts.append(both.sum())
        return {name: _mean(found, counts) for name, found in terms.items() if found}

    def decoded(self, shared: Sequences, own: Sequences, tokens: Sequences, *, rows: Mapping[str, Tensor]) -> Tensor:
        """Return the mean over modalities of what is lost when tokens are decoded from codes and specific features."""
        disentangler = cast(Disentangler, self.disentangler)
        lost = [reconstruction(disentangler.decode(m, z, own[m]), tokens[m], rows[m]) for m, z in shared.items()]
        return torch.stack(lost).mean()

    def apart(self, sequences: Sequences, own: Sequences, rows: Mapping[str, Tensor]) -> Terms:
        """Return mutual information of shared and specific features, and the loss of the net that estimates it."""
        bounds, likelihoods = [], []
        for m, z in sequences.items():
            seen, club = rows[m], cast(Club, self.clubs[m])
            if int(seen.sum()) > 1:
                bounds.append(club.bound(z[seen], own[m][seen], seed=0, exact=True))  # exact: the seed draws nothing
                likelihoods.append(club.likelihood(z[seen], own[m][seen]))
        if not bounds:
            return {}
        bound, likelihood = torch.stack(bounds).mean(), torch.stack(likelihoods).mean()
        return {"information": self.weights.information * bound, "likelihood": likelihood}


def there(sequences: Tensor) -> Tensor:
    """Return (B,) bool: which rows of (B, N, D) are of samples that have the modality; the others are 0."""
    return sequences.detach().flatten(1).any(1)


def pairs(rows: Mapping[str, Tensor]) -> Iterator[tuple[str, str, Tensor]]:
    """Yield two modalities and the rows that have both, for all that are ever together; `rows` says who has what."""
    for one, other in combinations(sorted(rows), 2):
        both = rows[one] & rows[other]
        if bool(both.any()):
            yield one, other, both


def groups(sequences: Sequences, beside: Sequence[Tensor] = ()) -> list[Tensor]:
    """Return batches (M, N, D) that belong together, row by row and step by step: all pairs of all samples.

    Parameters
    ----------
    sequences : Mapping
        Modality → (B, N, D).
    beside : sequence of Tensor
        (B, N, D) each, what else belongs to the samples: a batch more for each. Samples that lack one do not count.

    Examples
    --------
    >>> both, one = torch.ones(2, 1, 1), torch.tensor([[[2.0]], [[0.0]]])  # the second sample lacks "b"
    >>> [batch.flatten().tolist() for batch in groups({"a": both, "b": one})]
    [[1.0], [2.0]]
    """
    rows = {m: there(z) for m, z in sequences.items()}
    found = []
    for one, other, both in pairs(rows):
        for z in beside:
            both = both & there(z)
        found.append([z[both].detach() for z in (sequences[one], sequences[other], *beside)])
    return [torch.cat(member) for member in zip(*found, strict=True)]


def _mean(terms: Sequence[Tensor], counts: Sequence[Tensor]) -> Tensor:
    """Return the mean of scalars, weighted by rows."""
    shares = torch.stack(list(counts)).to(terms[0].dtype)
    return (torch.stack(list(terms)) * shares).sum() / shares.sum()
