"""Pictures with what they show, ready to be drawn: for distillation, and to see how a model draws."""

from collections.abc import Mapping
from typing import Any

from polymnia.config import part
from polymnia.data.scenario import SCENARIOS, cut
from polymnia.data.source import SOURCES
from polymnia.data.stage import Stage, Stream
from polymnia.data.wording import GENERATION
from polymnia.encoders.encoding import encode_stream
from polymnia.errors import SettingsError
from polymnia.models.unified_model import UnifiedModel


def drawings(model: UnifiedModel, source: Mapping[str, Any]) -> Stage:
    """Return a source's samples of task "generation", encoded by a model's host, their prompts as ids.

    A column `shows` is kept as it is: JSON, attribute → value ("colour" → "red"), of those sources that know.

    Raises
    ------
    SettingsError
        The source has no such samples.
    """
    return ready(model, pictures(source))


def pictures(source: Mapping[str, Any]) -> Stream:
    """Return the same samples as they are in the source, in one stage.

    Raises
    ------
    SettingsError
        The source has no such samples.
    """
    kind, own = part(SOURCES, source, "pictures")
    raw = cut(kind(own), SCENARIOS.get("tasks")())
    if len(raw) != 1 or raw[0].task != GENERATION:
        raise SettingsError(
            f"pictures: {kind.name} as set has the tasks {', '.join(stage.name for stage in raw)}; pictures that are "
            "drawn alone are needed (task generation)"
        )
    return raw


def ready(model: UnifiedModel, raw: Stream) -> Stage:
    """Return what `pictures` gave, encoded by a model's host, the prompts as ids."""
    encoders = {m: model.pictures for m in raw.kinds}
    return model.ready(encode_stream(raw, encoders, pool=False), model.settings)[0]
