"""Parameters, profiles, estimates and records: everything about a run that needs no kernel."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from longthought.errors import UserError
from longthought.runs import estimate as estimates
from longthought.runs import profiles, records
from longthought.runs.parameters import Parameter, check, convert, format_value, parse_parameters, read_parameters
from runs_clone import Clone, notebook

ROOT = Path(__file__).parent.parent
BOOK = {path.stem: path for path in sorted((ROOT / "notebooks").glob("*.ipynb"))}


# Parameters


def test_a_cell_is_read_with_types_ranges_choices_and_help() -> None:
    found = parse_parameters(
        "# Parameters\n"
        "a: int = 3  # [1, 50] how many\n"
        "b: list[str] = [\n    'x',\n]  # {x|y} several\n"
        "c: float | None = None\n"
        "d: str = ''  # path of a file\n"
        "e: bool = True  # plain [brackets] later are help\n",
        "nb",
    )
    assert found["a"] == Parameter("a", "int", 3, low=1, high=50, help="how many")
    assert found["b"] == Parameter("b", "str", ["x"], is_list=True, choices=("x", "y"), help="several")
    assert found["c"].optional and found["c"].type == "float | None"
    assert found["d"].is_path and not found["e"].is_path
    assert found["e"].help == "plain [brackets] later are help"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("a = 3", "name: type = default"),
        ("a: dict = {}", "no parameter type"),
        ("a: int = 3  # [1 50] x", "neither [lo, hi]"),
        ("a: str = 'x'  # [1, 2] x", "neither [lo, hi]"),
        ("a: int = 99  # [1, 50] x", "from 1 to 50"),
        ("a: int = f()", "plain value"),
        ("a: int = (", "not valid Python"),
    ],
)
def test_a_cell_that_breaks_the_convention_is_refused(line: str, says: str) -> None:
    with pytest.raises(UserError, match="nb") as caught:
        parse_parameters(line, "nb")
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("int", " 12 ", 12),
        ("int", "-3", -3),
        ("float", "1e-5", 1e-5),
        ("float", "3", 3.0),
        ("str", "007", "007"),
        ("str", "", ""),
        ("bool", "TRUE", True),
        ("bool", "no", False),
    ],
)
def test_text_is_converted_by_type(kind: str, text: str, value: Any) -> None:
    found = convert(Parameter("a", kind, value), text, "-p a")
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        *(("int", text) for text in ("1.5", "abc", "", "1_000", "9" * 5000)),
        *(("float", text) for text in ("nan", "inf", "1_0", "x", "")),
        *(("bool", text) for text in ("2", "")),
    ],
)
def test_text_of_another_type_is_refused_by_name(kind: str, text: str) -> None:
    with pytest.raises(UserError, match=r"-p a.*wants.*not"):
        convert(Parameter("a", kind, None), text, "-p a")


def test_lists_are_comma_separated_or_json_and_ranges_hold_for_each_item() -> None:
    numbers = Parameter("a", "int", [], is_list=True, low=1, high=9)
    assert convert(numbers, "1, 2,9", "-p a") == convert(numbers, "[1, 2, 9]", "-p a") == [1, 2, 9]
    assert convert(numbers, "", "-p a") == convert(numbers, "[]", "-p a") == []
    for bad in ("1,10", "1,,2", "[1", '["1"]', "[true]", "[[1]]"):
        with pytest.raises(UserError, match="each item"):
            convert(numbers, bad, "-p a")


def test_a_wrong_choice_gets_a_suggestion() -> None:
    with pytest.raises(UserError, match=r"one of cpu, cuda, not 'coda'.*did you mean cuda\?"):
        convert(Parameter("device", "str", "cpu", choices=("cpu", "cuda")), "coda", "-p device")


_SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "int": st.integers(-(10**30), 10**30),
    "float": st.floats(allow_nan=False, allow_infinity=False),
    "str": st.text(),
    "bool": st.booleans(),
}


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # slow only where the machine is busy
@given(st.data(), st.sampled_from(sorted(_SCALARS)), st.booleans(), st.booleans())
def test_formatted_values_are_read_back(data: st.DataObject, kind: str, is_list: bool, optional: bool) -> None:
    strategy = st.lists(_SCALARS[kind]) if is_list else _SCALARS[kind]
    if optional:
        strategy = st.none() | strategy
    value = data.draw(strategy)
    if optional and isinstance(value, str) and value.strip().lower() in ("none", "null"):
        return  # text that spells none cannot be told from it
    parameter = Parameter("a", kind, None, is_list=is_list, optional=optional)
    found = convert(parameter, format_value(value), "-p a")
    assert found == value and type(found) is type(value)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=20), st.sampled_from(["int", "float", "bool"]), st.booleans())
def test_any_text_is_converted_or_refused_in_one_way(text: str, kind: str, is_list: bool) -> None:
    parameter = Parameter("a", kind, None, is_list=is_list, low=0 if kind != "bool" else None, high=5)
    try:
        value = convert(parameter, text, "-p a")
    except UserError:
        return
    for item in value if isinstance(value, list) else [value]:
        assert isinstance(item, bool) or (isinstance(item, int | float) and math.isfinite(item) and 0 <= item <= 5)


def test_values_of_a_profile_are_not_coerced() -> None:
    assert check(Parameter("a", "float", 0.0), 1, "p") == 1.0
    assert check(Parameter("a", "float", 0.0), "1e-5", "p") == 1e-5  # YAML reads it as text
    for kind, bad in (("int", 1.0), ("int", True), ("str", 7), ("bool", 1), ("int", "1"), ("float", float("nan"))):
        with pytest.raises(UserError):
            check(Parameter("a", kind, None), bad, "p")


def test_a_file_that_is_no_notebook_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "x.ipynb").write_text("not json")
    with pytest.raises(UserError, match="not a notebook"):
        read_parameters(tmp_path / "x.ipynb")


# Profiles


@pytest.fixture
def schema() -> dict[str, dict[str, Parameter]]:
    return {stem: read_parameters(path) for stem, path in BOOK.items()}


@pytest.mark.parametrize("name", profiles.ORDER)
def test_every_profile_fits_the_notebooks_and_its_machine(name: str, schema: dict[str, dict[str, Parameter]]) -> None:
    profile = profiles.load_profile(name, schema)
    assert profile.description
    for stem, parameters in schema.items():
        plan = profiles.resolve(stem, parameters, profile, {})
        needs = estimates.estimate(stem, plan.values, profile.machine)
        assert not needs.warnings
        assert needs.hours < {"smoke": 0.1, "mini": 1, "full": 4, "gpu": 48, "paper": 400}[name]


def test_precedence_is_default_common_section_then_p(tmp_path: Path) -> None:
    known = {"01_a": parse_parameters("x: int = 1\ny: int = 1\nz: int = 1\nw: int = 1", "01_a")}
    path = tmp_path / "mine.yaml"
    path.write_text("common: {x: 2, y: 2, z: 2}\na: {y: 3, z: 3}\n")
    plan = profiles.resolve("01_a", known["01_a"], profiles.load_profile(str(path), known), {"z": "4"})
    assert plan.values == {"x": 2, "y": 3, "z": 4, "w": 1}
    assert plan.origin == {"x": "mine", "y": "mine", "z": "-p", "w": "default"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("common: {sead: 2}", "did you mean `seeds`"),
        ("a: {sead: 2}", "did you mean `seeds`"),
        ("aa: {seeds: 2}", "no section `aa`; did you mean `a`"),
        ("machine: {gpu: 2}", "did you mean `gpus`"),
        ("machine: {gpus: many}", "gpus wants int"),
        ("common: [1]", "write `section:`"),
        ("common: {seeds: 2", "not valid YAML"),
    ],
)
def test_unknown_keys_in_a_profile_are_errors(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        profiles.load_profile(str(path), {"01_a": parse_parameters("seeds: int = 1", "01_a")})
    assert says in str(caught.value)


def test_a_value_out_of_range_in_a_profile_names_the_profile(tmp_path: Path) -> None:
    known = {"01_a": parse_parameters("seeds: int = 1  # [1, 5]", "01_a")}
    path = tmp_path / "mine.yaml"
    path.write_text("common: {seeds: 9}")
    with pytest.raises(UserError, match="profile mine, common: seeds wants a whole number from 1 to 5, not '9'"):
        profiles.resolve("01_a", known["01_a"], profiles.load_profile(str(path), known), {})


@pytest.mark.parametrize("pairs", [["seeds"], ["=3"], ["a b=3"], ["a=1", "a=2"]])
def test_malformed_assignments_are_refused(pairs: list[str]) -> None:
    with pytest.raises(UserError, match="-p "):
        profiles.parse_assignments(pairs)


# Estimates


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("Qwen/Qwen2.5-Math-1.5B", 1_543_714_304),
        ("Qwen/Qwen2.5-Math-7B", 7_615_616_512),
        ("Qwen/Qwen2.5-Math-72B", 72_706_203_648),
        ("Qwen/Qwen2.5-72B-Instruct", 72_706_203_648),
        ("smollm2-135m", 134_515_008),
    ],
)
def test_shapes_give_the_published_parameter_counts(name: str, published: int) -> None:
    shape = estimates.architecture(name, {})
    assert shape is not None and shape.parameters == published


def test_kv_cache_of_the_72b_is_320_kib_a_token() -> None:
    shape = estimates.architecture("Qwen/Qwen2.5-Math-72B", {})
    assert shape is not None and shape.cache_bytes(2) == 2 * 80 * 8 * 128 * 2


_QWEN7 = "Qwen/Qwen2.5-Math-7B@b101308fe89651ea5ce025f25317fea6fc07e96e"
_CARD = estimates.Machine(gpus=1, gpu_memory_gb=80, peak_tflops=989)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"student": _QWEN7, "max_length": 32768}, "longer than the 4096 positions"),
        ({"student": _QWEN7, "max_length": 4096, "max_tokens": 8192}, "max_tokens=8192"),
        ({"student": "tiny", "max_length": 128, "max_tokens": 200}, "raise max_length"),
        ({"student": "tiny", "hidden": 64, "heads": 5}, "multiple of 10"),
        ({"student": _QWEN7, "max_length": 2048, "device": "cuda", "dtype": "bfloat16"}, "more than a card of 80 GB"),
        ({"student": "tiny", "problems": "x", "model": "smollm2-135m", "max_tokens": 9000}, "8192 positions"),
    ],
)
def test_what_cannot_fit_is_refused(values: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError) as caught:
        estimates.estimate("nb", {"batch_size": 1, "max_tokens": 64, **values}, _CARD)
    assert says in str(caught.value)


def test_an_extended_context_is_accepted_and_said() -> None:
    machine = estimates.Machine(gpus=8, positions=32768, rope_theta=3e5, checkpointing=True, loss_tokens=4096)
    values = {"student": _QWEN7, "max_length": 32768, "max_tokens": 64, "batch_size": 1, "device": "cuda"}
    needs = estimates.estimate("nb", {**values, "dtype": "bfloat16", "phase2_steps": 10}, machine)
    assert ("context", "4096 positions, extended to 32768, RoPE base 300000") in needs.lines
    assert needs.training_flops == 8 * 7_615_616_512 * 10 * 32768


def test_a_name_without_a_full_commit_is_reported() -> None:
    assert estimates.unpinned({"student": _QWEN7, "model": "smollm2-135m"}) == []
    (line,) = estimates.unpinned({"student": "Qwen/Qwen2.5-Math-7B@main"})
    assert "a run needs a pinned commit" in line


# Records


def test_comments_layout_and_docstrings_leave_the_code_hash_alone() -> None:
    before = records.code_hash('"""Doc."""\ndef f(x):\n    """Doc."""\n    return x + 1  # add\n')
    assert before == records.code_hash("def f(x):\n\n    return (x + 1)\n")
    assert before != records.code_hash("def f(x):\n    return x + 2\n")


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path / "clone", good=["print(1)"], other=["print(2)"])


@pytest.mark.parametrize("name", ["good", "01_good", "01_good.ipynb", "notebooks/01_good.ipynb"])
def test_a_notebook_has_several_names(clone: Clone, name: str) -> None:
    assert list(records.select_notebooks(records.Project(clone.root), [name])) == ["01_good"]


def test_the_project_is_found_from_inside_and_missed_outside(clone: Clone, tmp_path: Path) -> None:
    assert records.find_project(clone.root).root == clone.root
    with pytest.raises(UserError, match="inside a clone"):
        records.find_project(tmp_path)


def test_the_key_follows_what_can_change_a_result(clone: Clone) -> None:
    project = records.Project(clone.root)
    path = clone.root / "notebooks" / "01_good.ipynb"
    data = clone.root / "data.jsonl"
    data.write_text("one")

    def key(**values: Any) -> str:
        return records.run_key(records.key_parts(project, path, {"seeds": 1, "problems": "data.jsonl", **values}))

    first = key()
    assert key() == first and key(seeds=2) != first
    moved = data.rename(clone.root / "moved.jsonl")
    assert key(problems="moved.jsonl") == first  # content counts, not the name
    moved.write_text("two")
    assert key(problems="moved.jsonl") != first
    moved.write_text("one")
    clone.write("01_good", ["print(3)"])
    assert key(problems="moved.jsonl") != first


def test_outputs_and_counts_in_the_source_do_not_change_the_key(clone: Clone) -> None:
    import json

    project = records.Project(clone.root)
    path = clone.root / "notebooks" / "01_good.ipynb"
    before = records.key_parts(project, path, {})
    content = notebook("print(1)")
    content["cells"][-1]["execution_count"] = 7
    path.write_text(json.dumps(content, indent=3))
    assert records.key_parts(project, path, {}) == before


def test_secrets_are_found_by_name_and_cut_out_everywhere() -> None:
    environment = {
        "OPENAI_API_KEY": "topsecret-value",
        "HF_TOKEN": "another-secret",
        "TOKENIZERS_PARALLELISM": "falsefalse",
    }
    known = records.secrets(environment)
    assert set(known.values()) == {"OPENAI_API_KEY", "HF_TOKEN"}
    cleaned = records.redact({"a": ["x topsecret-value y"], "b": 3}, known, Path("/nowhere"))
    assert cleaned == {"a": ["x [OPENAI_API_KEY] y"], "b": 3}
    for value in ("topsecret-value", "sk-abcdefghijklmnopqrstuv"):
        with pytest.raises(UserError, match="environment variable"):
            records.refuse_secrets({"label": value}, environment)
