"""SmolLM2's quiz: questions that are answered without any picture, sound or video."""

CAPITALS = (
    ("France", "Paris"), ("Italy", "Rome"), ("Japan", "Tokyo"), ("Russia", "Moscow"), ("Egypt", "Cairo"),
    ("Greece", "Athens"), ("Spain", "Madrid"), ("Germany", "Berlin"), ("China", "Beijing"), ("Austria", "Vienna"),
    ("Portugal", "Lisbon"), ("Norway", "Oslo"), ("Sweden", "Stockholm"), ("Ireland", "Dublin"), ("Poland", "Warsaw"),
    ("Hungary", "Budapest"), ("Cuba", "Havana"), ("Peru", "Lima"), ("Kenya", "Nairobi"), ("Thailand", "Bangkok"),
    ("Finland", "Helsinki"), ("Denmark", "Copenhagen"), ("Belgium", "Brussels"), ("Turkey", "Ankara"),
    ("India", "New Delhi"), ("Canada", "Ottawa"), ("Australia", "Canberra"), ("Vietnam", "Hanoi"),
    ("Chile", "Santiago"), ("Nepal", "Kathmandu"),
)  # fmt: skip
TURN = "user\n{question}<|im_end|>\n<|im_start|>assistant\n"
"""A question as the model was taught to read one, behind the token that begins every prompt."""

QUIZ: tuple[tuple[str, str], ...] = tuple(
    (TURN.format(question=f"What is the capital of {x}?"), f"The capital of {x} is {y}.") for x, y in CAPITALS
)
"""Questions, and their right answers as whole sentences, for so the model answers. No country was taken out because
the model does not know it. Opposites were tried and left out as a whole: it explains them, and matches none exactly."""
