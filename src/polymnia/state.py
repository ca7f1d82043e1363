"""State as plain nested dicts and lists of tensors and scalars, and its split into safetensors + JSON."""

from typing import Any

from torch import Tensor

Tree = Any  # None | bool | int | float | str | Tensor | dict[str, Tree] | list[Tree]

_TENSOR = "__tensor__"
_SCALARS = frozenset({bool, int, float, str, type(None)})


def split(tree: Tree) -> tuple[dict[str, Tensor], Any]:
    """Take the tensors out of a tree: name → tensor, and the same tree as JSON with their names in their place.

    Examples
    --------
    >>> import torch
    >>> tensors, rest = split({"memory": {"seen": 3, "targets": torch.ones(2)}})
    >>> list(tensors), rest
    (['memory/targets'], {'memory': {'seen': 3, 'targets': {'__tensor__': 'memory/targets'}}})
    """
    tensors: dict[str, Tensor] = {}
    return tensors, _take(tree, "", tensors)


def _take(tree: Tree, path: str, tensors: dict[str, Tensor]) -> Any:
    if isinstance(tree, Tensor):
        tensors[path] = tree.detach().cpu().contiguous().clone()  # safetensors refuses tensors that share storage
        return {_TENSOR: path}
    if isinstance(tree, dict):
        if any(not isinstance(key, str) for key in tree):
            raise TypeError(f"state at {path or 'its root'} has a key that is not a string: {list(tree)}")
        if _SCALARS.issuperset(map(type, tree.values())):
            return dict(tree)
        return {key: _take(value, f"{path}/{key}" if path else key, tensors) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        if _SCALARS.issuperset(map(type, tree)):  # a row of a matrix: there may be many, and long ones
            return list(tree)
        return [_take(value, f"{path}/{i}", tensors) for i, value in enumerate(tree)]
    if tree is None or isinstance(tree, bool | int | float | str):
        return tree
    raise TypeError(
        f"state at {path or 'its root'} is a {type(tree).__name__}; it must be a tensor, scalar, dict or list"
    )


def join(tensors: dict[str, Tensor], rest: Any) -> Tree:
    """Put the tensors back: the inverse of `split` (tuples come back as lists)."""
    if isinstance(rest, dict):
        if set(rest) == {_TENSOR}:
            return tensors[rest[_TENSOR]]
        return {key: join(tensors, value) for key, value in rest.items()}
    if isinstance(rest, list):
        return [join(tensors, value) for value in rest]
    return rest
