"""An engine for tests that says what it is told to, in order, and remembers what it was asked."""

from longthought.engines import Completion


class Told:
    """Answers from a list, or from a function of the prompt; counts words as tokens. "✂" at the end cuts an answer."""

    tokenizer_name = "words"

    def __init__(self, script, name="scripted"):
        self.name = name
        self.asked = []
        lines = None if callable(script) else iter(script)
        self._script = script if lines is None else lambda _prompt: next(lines)

    def generate(self, prompts, sampling, progress=None, prefixes=None):
        answers = []
        for i, prompt in enumerate(prompts):
            row = []
            for j in range(sampling.samples):
                prefix = prefixes[i][j] if prefixes else ""
                self.asked.append((prompt, prefix, sampling))
                text = self._script(prompt)
                cut, text = text.endswith("✂"), text.removesuffix("✂")
                finish = "length" if cut else "stop"
                row.append(Completion(text, len(text.split()) + 1, finish, len(prompt.split()), cost=0.01))
            answers.append(row)
        if progress:
            progress(len(prompts) * sampling.samples, len(prompts) * sampling.samples)
        return answers
