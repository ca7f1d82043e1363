"""What a service is asked and answers, as its description has it."""

from typing import Any

from pydantic import BaseModel, Field

from polymnia.service.content import How

FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "file": {"type": "string", "format": "binary", "description": "A picture, sound, video, …"},
                        "text": {"type": "string"},
                        "top": {"type": "integer", "minimum": 1, "maximum": 1000},
                        "k": {"type": "integer", "minimum": 1, "maximum": 1000},
                        "within": {"type": "string"},
                        "question": {"type": "string"},
                    },
                    "additionalProperties": True,
                },
                "example": {"text": "a frog in the rain"},
            },
            "application/json": {
                "schema": {"type": "object", "additionalProperties": {"type": "string"}},
                "example": {"text": "a frog in the rain"},
            },
        },
    }
}
"""One thing: each value under its modality's name, or as `file` or `text` where that tells it."""


class Problem(BaseModel):
    """Why a request was refused."""

    error: str = Field(examples=["search asks by one value; image, text are given"])


class Class(BaseModel):
    """A class and how likely it is."""

    name: str = Field(examples=["frogs"])
    probability: float = Field(examples=[0.97])


class Predicted(BaseModel):
    """The likeliest classes of one thing."""

    version: str = Field(examples=["0002-autumn"])
    classes: list[Class]
    broken: dict[str, str] = Field(description="Modality → why its value cannot be read.")


class Written(BaseModel):
    """What is written about one thing."""

    version: str = Field(examples=["0002-autumn"])
    text: str = Field(examples=["a red circle"])
    broken: dict[str, str] = Field(description="Modality → why its value cannot be read.")


class Like(BaseModel):
    """A value of the index, and how much it is like what was asked by."""

    score: float = Field(description="Cosine, at most 1.", examples=[0.83])
    id: str = Field(examples=["frogs/tree-frog"])
    modality: str = Field(examples=["image"])
    value: str = Field(description="A file's name, a text, or what it is in words.", examples=["tree-frog.png"])
    label: str | None = Field(examples=["frogs"])
    source: str = Field(description="Of its data; /content takes it.", examples=["own"])
    split: str = Field(examples=["test"])
    stage: str = Field(description="After which the vectors were made.", examples=["02-autumn"])
    through: str | None = Field(
        description="A modality: the score is of the same sample's value of it; the model has no space of both.",
        examples=["text"],
    )
    shows: list[How] = Field(description="What /content can do with it.", examples=[["look"]])


class Found(BaseModel):
    """The nearest values of an index, best first."""

    version: str = Field(examples=["0002-autumn"])
    hits: list[Like]


class Encoded(BaseModel):
    """The vectors of a thing's values, each of length 1."""

    version: str = Field(examples=["0002-autumn"])
    vectors: dict[str, list[float]] = Field(examples=[{"text": [0.6, -0.8]}])


class Choice(BaseModel):
    """A version that waits, and who decides."""

    version: str = Field(max_length=200, examples=["0003-winter"])
    by: str = Field(default="", max_length=200)
